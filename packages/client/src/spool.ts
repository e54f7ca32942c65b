/**
 * The spool: events on disk that could not be sent, in order. One append-only file, emptied when everything is sent.
 *
 *     0 ─── sent ───▶ head ─── waiting ───▶ end
 *
 * - append: writes and syncs the events before it reports them. A crash before that leaves a torn tail, cut off at the
 *   next start.
 * - advance: moves `head` past the sent events and records that, unsynced: if the record is lost, the events are sent
 *   again, and the server recognizes the duplicates by their ids. When nothing is waiting, the file is truncated.
 *
 * All changes go through one queue (`inTurn`), so writes never interleave.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type SealedEvent, sealedOf } from './event.js'
import { encodeLine, linesOf, markedPosition } from './spool-line.js'
import { takeLock } from './spool-lock.js'

/** Events at the head of the spool. `end` is the byte after them. */
export interface SpoolHead {
  events: SealedEvent[]
  end: number
}

export interface Spool {
  /** Events that wait, including those being appended. */
  readonly waiting: number
  /** Appends events; they are durable when this resolves. @throws {Error} when the disk or the spool is full. */
  append(events: SealedEvent[]): Promise<void>
  /** The oldest waiting events, at most `max`. */
  head(max: number): Promise<SpoolHead>
  /** Records that these events were sent. They must be the spool's head. */
  advance(sent: SpoolHead): Promise<void>
  close(): Promise<void>
}

/** Size of one read, in bytes. */
const CHUNK = 256 * 1024

/**
 * Opens the spool at `path`, or creates it. `maxBytes` bounds the file.
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

/** Reads the whole file once to find its intact and its sent extent. Cuts off a torn tail. */
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

  /** Appends to the file. A failed write must not leave half a line before the next append. */
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

/** The lines of the file from byte `from` on, each with the position after it. */
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

/** Syncs the folder, so that the file's name is as durable as its content. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
