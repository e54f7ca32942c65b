/** Events from a file (NDJSON, read as a stream, or a JSON array, read as a whole; gzipped or not), or from a pipe. */
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { v5 } from 'uuid'
import type { OutgoingEvent } from './event.js'

const NAMESPACE = '5b1bb2a5-6f2c-4a53-9e0a-0d6f0f5a7d9c'

/**
 * The events of the file at `path`, in its order. One without an id gets one made of its place and content, so that a
 * file that is sent again makes duplicates only.
 * @throws {Error} naming the row that is no JSON object
 */
export async function* readEventFile(path: string): AsyncGenerator<OutgoingEvent> {
  let row = 0
  for await (const json of (await holdsArray(path)) ? readArray(path) : readLines(openText(path), path)) {
    row++
    yield withId(eventOf(json, `row ${row} of ${path}`), row)
  }
}

/** The events of NDJSON from elsewhere, as they come. `name` is for errors. @throws {Error} naming the row that is no JSON object */
export async function* readEventLines(text: AsyncIterable<string>, name: string): AsyncGenerator<OutgoingEvent> {
  let row = 0
  for await (const json of readLines(text, name)) yield eventOf(json, `row ${++row} of ${name}`)
}

async function holdsArray(path: string): Promise<boolean> {
  for await (const start of openText(path)) return start.trimStart().startsWith('[')
  return false
}

async function* readArray(path: string): AsyncGenerator<unknown> {
  const chunks: string[] = []
  for await (const chunk of openText(path)) chunks.push(chunk)
  yield* parse(chunks.join(''), path) as unknown[]
}

async function* readLines(text: AsyncIterable<string>, name: string): AsyncGenerator<unknown> {
  let row = 0
  let rest = ''
  const parseLine = (line: string) => parse(line, `row ${++row} of ${name}`)
  for await (const chunk of text) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    yield* lines.filter((line) => line.trim() !== '').map(parseLine)
  }
  if (rest.trim() !== '') yield parseLine(rest)
}

function openText(path: string): AsyncIterable<string> {
  const file = createReadStream(path)
  const text = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => undefined) : file
  return text.setEncoding('utf8')
}

function parse(json: string, where: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    throw new Error(`${where} is not JSON: ${(error as Error).message}`)
  }
}

function eventOf(row: unknown, where: string): OutgoingEvent {
  if (typeof row === 'object' && row !== null && !Array.isArray(row)) return row as OutgoingEvent
  throw new Error(`${where} is not an event: an object with a type and data`)
}

function withId(event: OutgoingEvent, row: number): OutgoingEvent {
  return event.id === undefined ? { ...event, id: v5(`${row} ${JSON.stringify(event)}`, NAMESPACE) } : event
}
