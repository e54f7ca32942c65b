/**
 * The format of a spool's lines. Each is a JSON array of a checksum and its content:
 *
 *     ["5c3e8a01",{"type":"order.created","id":…}]     an event that could not be sent yet
 *     ["09b1f3d7",18230]                               everything before this byte of the file has been sent
 *
 * A line counts if it ends with a line feed and its checksum is right. Anything after the last such line was being
 * written when the process ended, and was never reported as stored.
 */
import { crc32 } from 'node:zlib'

const LINE_FEED = 0x0a
const BEFORE_JSON = '["00000000",'.length

/** Encodes a line of `json`: an event, or the byte up to which everything has been sent. */
export function encodeLine(json: string): string {
  return `["${checksum(json)}",${json}]\n`
}

/** The JSON in a line (without its line feed), or `undefined` if the line is not intact. */
function decodeLine(line: string): string | undefined {
  const json = line.slice(BEFORE_JSON, -1)
  return line === encodeLine(json).slice(0, -1) ? json : undefined
}

/** The lines of `bytes`, each with the position after it. Text after the last line feed is left out. */
export function* linesOf(bytes: Buffer): Generator<{ json: string | undefined; end: number }> {
  let start = 0
  for (let feed = bytes.indexOf(LINE_FEED); feed !== -1; feed = bytes.indexOf(LINE_FEED, start)) {
    yield { json: decodeLine(bytes.toString('utf8', start, feed)), end: feed + 1 }
    start = feed + 1
  }
}

/** The position in a mark, or `undefined` if the line holds an event. */
export function markedPosition(json: string): number | undefined {
  return json.startsWith('{') ? undefined : Number(json)
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, '0')
}
