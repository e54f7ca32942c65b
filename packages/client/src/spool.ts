/**
 * The spool: events on disk that could not be sent, in order. One file, only ever appended to, emptied when all is
 * sent.
 *
 *     0 ─── sent ───▶ head ─── waiting ───▶ end
 *
 * - append: written and synced, and only then reported. A crash before leaves a torn tail, cut off at the next start.
 * - advance: moves `head` behind what was sent and writes that down, unsynced: if it is lost, events are sent again,
 *   and the server knows them by their ids. When nothing waits any more, the file is truncated.
 *
 * All changes go through one queue (`inTurn`), so what is written never interleaves.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type SealedEvent, sealedOf } from './event.js'
import { encodeLine, linesOf, markedPosition } from './spool-line.js'
import { takeLock } from './spool-lock.js'

/** Events at the head of the spool. `end` is the byte behind them. */
export interface SpoolHead {
  events: SealedEvent[]
  end: number
}

export interface Spool {
  /** Events that wait, those being appended included. */
  readonly waiting: number
  /** Appends events; they are safe on disk when this resolves. @throws {Error} when the disk or the spool is full. */
  append(events: SealedEvent[]): Promise<void>
  /** The oldest waiting events, at most `max`. */
  head(max: number): Promise<SpoolHead>
  /** Says that these were sent. They must be the spool's head. */
  advance(sent: SpoolHead): Promise<void>
  close(): Promise<void>
}

/** Bytes read from the file at once. */
const CHUNK = 256 * 1024

/**
 * Opens the spool at `path`, or makes it. `maxBytes` bounds the file.
 * @throws {Error} when another process has it, or it is damaged other than at its end
 */
export async function openSpool(path: string, maxBytes: number): Promise<Spool> {
  const unlock = await takeLock(path)
  let file: FileHandle | undefined
  try {
    file = await open(path, 'a+', 0o600)
    const found = await recover(file, path)
    await syncFolder(dirname(resolve(path)))
    return spoolOn(file, found, maxBytes, unlock)
  } catch (error) {
    await file?.close()
    await unlock()
    throw error
  }
}

interface Extent {
  head: number
  end: number
  waiting: number
}

/** Reads the whole file once: how far it is whole, how far it was sent. Cuts a torn tail off. */
async function recover(file: FileHandle, path: string): Promise<Extent> {
  const ends: number[] = []
  let head = 0
  let end = 0
  let torn: number | undefined
  for await (const { json, end: lineEnd } of readLines(file, 0)) {
    if (json === undefined) {
      torn ??= end
      continue
    }
    if (torn !== undefined) {
      throw new Error(`the spool ${path} is damaged at byte ${torn}: truncate it there, or move it away`)
    }
    const mark = markedPosition(json)
    if (mark === undefined) ends.push(lineEnd)
    else head = mark
    end = lineEnd
  }
  await file.truncate(end)
  const waiting = ends.filter((eventEnd) => eventEnd > head).length
  if (waiting > 0) return { head, end, waiting }
  await file.truncate(0)
  return { head: 0, end: 0, waiting: 0 }
}

function spoolOn(file: FileHandle, found: Extent, maxBytes: number, unlock: () => Promise<void>): Spool {
  let { head, end, waiting } = found
  let torn = false
  let turn: Promise<unknown> = Promise.resolve()

  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = turn.then(change)
    turn = done.catch(() => undefined)
    return done
  }

  /** Appends to the file. Nothing half-written may stay in front of what is appended next. */
  async function write(text: string, sync: boolean): Promise<void> {
    const bytes = Buffer.from(text)
    if (end + bytes.length > maxBytes) throw new Error(`the spool is full (${maxBytes} bytes)`)
    if (torn) await file.truncate(end)
    torn = true
    await file.appendFile(bytes)
    if (sync) await file.datasync()
    torn = false
    end += bytes.length
  }

  return {
    get waiting() {
      return waiting
    },
    async append(events) {
      waiting += events.length
      try {
        await inTurn(() => write(events.map(({ json }) => encodeLine(json)).join(''), true))
      } catch (error) {
        waiting -= events.length
        throw error
      }
    },
    head: (max) =>
      inTurn(async () => {
        const events: SealedEvent[] = []
        let position = head
        for await (const line of readLines(file, head)) {
          if (events.length === max || line.end > end) break
          if (line.json === undefined) throw new Error(`the spool cannot be read at byte ${position}`)
          if (markedPosition(line.json) === undefined) events.push(sealedOf(line.json))
          position = line.end
        }
        return { events, end: position }
      }),
    advance: (sent) =>
      inTurn(async () => {
        waiting -= sent.events.length
        head = sent.end
        if (head === end) {
          await file.truncate(0)
          head = end = 0
        } else {
          await write(encodeLine(String(head)), false).catch(() => undefined)
        }
      }),
    async close() {
      await inTurn(() => file.close())
      await unlock()
    },
  }
}

/** The lines of the file from byte `from` on, each with the byte behind it. */
async function* readLines(file: FileHandle, from: number) {
  let buffer = Buffer.alloc(CHUNK)
  let position = from
  while (true) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
    let used = 0
    for (const line of linesOf(buffer.subarray(0, bytesRead))) {
      used = line.end
      yield { json: line.json, end: position + line.end }
    }
    position += used
    if (bytesRead < buffer.length) return
    // A line longer than the buffer.
    if (used === 0) buffer = Buffer.alloc(buffer.length * 2)
  }
}

/** Makes the file's name as durable as its content. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
