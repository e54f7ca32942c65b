/** Reads events from a file (NDJSON, streamed, or a JSON array, read whole; gzipped or not) or from a pipe. */
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createGunzip } from 'node:zlib'
import { v5, v7 } from 'uuid'
import { EventText } from './event.js'

const NAMESPACE = '5b1bb2a5-6f2c-4a53-9e0a-0d6f0f5a7d9c'

/** No server accepts a longer line; at most this much of a line is buffered. */
const MAX_LINE_BYTES = 16 * 1024 * 1024

/**
 * An event of a file, unchanged, or why the row is not an event. `row` counts from 1; `where` names the line for
 * people.
 */
export type FileRow = { row: number; where: string } & ({ event: EventText } | { error: Error })

/** Bytes that may be an event. */
interface Piece {
  where: string
  bytes: Buffer | undefined
}

/**
 * The events of the file at `path`, in its order. An event without an id gets one derived from its place and content,
 * so that sending the file again only makes duplicates. A row that is not an event does not affect the others.
 * @throws {Error} when the file cannot be read, or its array is not terminated
 */
export async function* readEventFile(path: string): AsyncGenerator<FileRow> {
  const pieces = (await holdsArray(path)) ? itemsOf(await buffer(open(path))) : linesOf(open(path))
  yield* rowsOf(pieces, path, (event, row) => v5(`${row} ${JSON.stringify(event)}`, NAMESPACE))
}

/** The events of an NDJSON stream, as they arrive; those without an id get a new one. `name` is for errors. */
export async function* readEventLines(bytes: AsyncIterable<Buffer>, name: string): AsyncGenerator<FileRow> {
  yield* rowsOf(linesOf(bytes), name, () => v7())
}

async function* rowsOf(
  pieces: Iterable<Piece> | AsyncIterable<Piece>,
  name: string,
  makeId: (event: object, row: number) => string,
): AsyncGenerator<FileRow> {
  // Byte order marks are ignored at the start of any piece: concatenated files have some in the middle.
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  let row = 0
  for await (const { where: place, bytes } of pieces) {
    const where = `${place} of ${name}`
    row++
    try {
      if (bytes === undefined) throw new Error(`is longer than ${MAX_LINE_BYTES} bytes`)
      const event = new EventText(utf8.decode(bytes), (event) => makeId(event, row))
      yield { row, where, event }
    } catch (error) {
      yield { row, where, error: new Error(`${where} ${reasonOf(error as Error)}`) }
    }
  }
}

function reasonOf(error: Error & { code?: string }): string {
  if (error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'is not UTF-8'
  if (error.name === 'SyntaxError') return `is not JSON: ${error.message}`
  return error.message.replace(/^it /, '')
}

/** The bytes of a UTF-8 byte order mark, and white space. */
const BLANK = new Set([0xef, 0xbb, 0xbf, 0x20, 0x09, 0x0a, 0x0d])

async function holdsArray(path: string): Promise<boolean> {
  for await (const start of open(path)) {
    const first = start.find((byte) => !BLANK.has(byte))
    if (first !== undefined) return first === OPEN_LIST
  }
  return false
}

/** The lines that are not blank. */
async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  let line = 0
  let held: Buffer[] = []
  let length = 0
  function hold(bytes: Buffer): void {
    length += bytes.length
    if (length <= MAX_LINE_BYTES) held.push(bytes)
  }
  function* take(): Generator<Piece> {
    line++
    const bytes = Buffer.concat(held)
    if (length > MAX_LINE_BYTES) yield { where: `line ${line}`, bytes: undefined }
    else if (bytes.some((byte) => !BLANK.has(byte))) yield { where: `line ${line}`, bytes }
    held = []
    length = 0
  }
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      hold(chunk.subarray(start, end))
      yield* take()
      start = end + 1
    }
    hold(chunk.subarray(start))
  }
  yield* take()
}

const LINE_FEED = 0x0a
const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPENING = new Set([OPEN_LIST, 0x7b])
const CLOSING = new Set([CLOSE_LIST, 0x7d])

/**
 * The items of a JSON list, each as it is written; the list is JSON if all of them are. @throws {Error} when the list
 * is not terminated, or text follows it
 */
function* itemsOf(list: Buffer): Generator<Piece> {
  let [row, start, depth, inText] = [0, 0, 0, false]
  const item = (end: number): Piece => ({ where: `row ${++row}`, bytes: list.subarray(start, end) })
  for (let at = 0; at < list.length; at++) {
    const byte = list[at]!
    if (inText) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inText = false
    } else if (byte === QUOTE) inText = true
    else if (OPENING.has(byte)) {
      if (++depth === 1) start = at + 1
    } else if (CLOSING.has(byte) && --depth === 0) {
      const isEmpty = row === 0 && list.subarray(start, at).every((inside) => BLANK.has(inside))
      if (!isEmpty) yield item(at)
      if (list.subarray(at + 1).some((behind) => !BLANK.has(behind)))
        throw new Error('there is text after the end of its list')
      return
    } else if (byte === COMMA && depth === 1) {
      yield item(at)
      start = at + 1
    }
  }
  throw new Error('its list has no end')
}

function open(path: string): AsyncIterable<Buffer> & NodeJS.ReadableStream {
  const file = createReadStream(path)
  return path.endsWith('.gz') ? pipeline(file, createGunzip(), () => undefined) : file
}
