/**
 * What a spool's lines look like. Each is JSON, an array of a checksum and what it is the checksum of:
 *
 *     ["5c3e8a01",{"type":"order.created","id":…}]     an event that could not be sent yet
 *     ["09b1f3d7",18230]                               everything before this byte of the file has been sent
 *
 * A line counts if it ends with a line feed and its checksum is right. Text after the last such line was being
 * written when the process ended, and its event was never reported as spooled.
 */
import { crc32 } from 'node:zlib'

const LINE_FEED = 0x0a
const BEFORE_JSON = '["00000000",'.length

/** A line of `json`: an event, or the byte up to which everything has been sent. */
export function encodeLine(json: string): string {
  return `["${checksum(json)}",${json}]\n`
}

/** The JSON in a line (without its line feed), or `undefined` if it is not whole. */
function decodeLine(line: string): string | undefined {
  const json = line.slice(BEFORE_JSON, -1)
  return line === encodeLine(json).slice(0, -1) ? json : undefined
}

/** The lines of `bytes`, each with the position behind it. What comes after the last line feed is left out. */
export function* linesOf(bytes: Buffer): Generator<{ json: string | undefined; end: number }> {
  let start = 0
  for (let feed = bytes.indexOf(LINE_FEED); feed !== -1; feed = bytes.indexOf(LINE_FEED, start)) {
    yield { json: decodeLine(bytes.toString('utf8', start, feed)), end: feed + 1 }
    start = feed + 1
  }
}

/** The position in a mark, or `undefined` when the line is an event's. */
export function markedPosition(json: string): number | undefined {
  return json.startsWith('{') ? undefined : Number(json)
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, '0')
}
