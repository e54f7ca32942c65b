/** The largest bodies, made of the most expensive parts: no other request waits for them for longer than a moment. */

import { CHECKED_FORMATS } from '@eventflow/core'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Contract, readContract } from '../contract.js'
import { unstalled } from '../unstalled.js'

/** The default limits of a body with one event, and of a batch. */
const EVENT = 2 * 262_144 + 65_536
const BATCH = 8_388_608
const MAX_MEMBERS = 20_000

let pipeline: TestPipeline
let contract: Contract

beforeAll(async () => {
  const formats = [...CHECKED_FORMATS].map((format) => [format, Type.Optional(Type.String({ format }))])
  const schema = Type.Object(Object.fromEntries(formats))
  pipeline = await startPipeline([defineEvent({ type: 'text.checked', schema, validateAt: 'ingest' })])
  contract = await readContract(pipeline.url)
})

afterAll(() => pipeline.stop())

const event = (value: string) => `{"type":"note.taken","data":{"value":${value}}}`
const listOf = (piece: string, length: number) => `[${piece},`.padEnd(length - 100, `${piece},`).replace(/,[^,]*$/, ']')
const objectOf = (names: number) => `{${Array.from({ length: names }, (_, n) => `"${n.toString(36)}n":0`)}}`
/** As many events of this length as a batch has room for. */
const many = (one: string) => Array(Math.min(1_000, Math.floor((BATCH - 10) / (one.length + 1)))).fill(one)

describe.each<[what: string, event: string, status: number]>([
  ['a text', event(`"${'x'.repeat(EVENT - 100)}"`), 413],
  ['digits', event('1'.repeat(EVENT - 100)), 400],
  ['numbers', event(listOf('1.5', EVENT)), 413],
  ['empty lists', event(listOf('[]', EVENT)), 413],
  ['one name many times', `{"type":"note.taken","data":{${listOf('"a":1', EVENT).slice(1, -1)}}}`, 400],
  ['many names', event(objectOf(50_000)), 400],
  ['zeros behind a dot', event(`1.${'0'.repeat(EVENT - 100)}1`), 400],
  ['brackets', '['.repeat(EVENT), 400],
])('of %s', (_, one, status) => {
  const send = (path: string, body: string) =>
    unstalled(() => contract.ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body }))

  test('one event', async () => {
    expect((await send('/v1/events', one)).status).toBe(status)
  })

  test('a batch of them', async () => {
    const events = many(one)
    const { body } = await send('/v1/events/batch', `[${events.join(',')}]`)
    expect(body).toMatchObject(one.startsWith('[') ? { code: 'malformed-body' } : { rejected: events.length })
  })
})

test.each<[what: string, event: string, status: number]>([
  ['zeros before an exponent', event(`1${'0'.repeat(EVENT - 100)}e-9`), 400],
  ['a name and many colons', `"${'a'.repeat(EVENT / 2)}"${'{:}'.repeat(EVENT / 7)}`, 400],
  ['backslashes and quotes', `{"${'\\\\\\"'.repeat(EVENT / 4 - 10)}":1}`, 400],
  ['spaces behind a name', `{"type"${' '.repeat(EVENT - 100)}:1}`, 400],
  ['a time that is long', `{"type":"t","time":"/${'t'.repeat(EVENT - 100)}","data":{}}`, 400],
  ['a media type that is long', `{"type":"t","datacontenttype":"a/b${';'.repeat(EVENT - 100)}","data":{}}`, 400],
])('one event of %s', async (_, body, status) => {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
  expect((await unstalled(() => contract.ask('/v1/events', init))).status).toBe(status)
})

describe('a text of each format that is checked,', () => {
  /** Possible beginnings of a format, and parts that may be repeated in it. */
  const beginnings = ['', 'http://a@', 'ftp://', 'a@', '2020-01-01T00:00:00.', 'P', '/', '{', '::']
  const pieces = [':', 'a', '1', '.', '-', '/', '@', '~0', '%20', '{a}', 'a.', 'a-', 't', '(', '{1,', 'AAAA']

  const texts = beginnings.flatMap((start) => pieces.map((piece) => `${start}${piece.repeat(40_000 / piece.length)}!`))

  test.each([...CHECKED_FORMATS])('%s', async (format) => {
    const events = texts.map((text) => ({ type: 'text.checked', data: { [format]: text } }))
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(events) }
    expect((await unstalled(() => contract.ask('/v1/events/batch', init))).status).toBe(200)
  })
})

describe('as many as fit into', () => {
  const pieces = [' ', 'a', ';', '"', '\\', ',', '=', '%20', '; charset=', '; a="', ';\t', 'a/', '/', '-', '&a=', '%ff']
  const headers = [
    ...['authorization', 'content-type', 'content-encoding', 'idempotency-key', 'traceparent', 'x-correlation-id'],
    ...['x-operator', 'ce-id', 'ce-time', 'accept', 'accept-encoding', 'range', 'if-none-match', 'cookie', 'forwarded'],
  ]
  const beginnings: Record<string, string> = { authorization: 'Bearer', 'content-type': 'application/json' }

  test.each(headers)('the header %s', async (name) => {
    for (const piece of pieces) {
      const value = `${beginnings[name] ?? ''}${piece.repeat(15_000 / piece.length)}!`
      const init = { headers: { 'content-type': 'application/json', [name]: value } }
      const answer = await unstalled(async () => {
        await fetch(pipeline.url, init)
        return fetch(`${pipeline.url}/v1/events`, { ...init, method: 'POST', body: event('1') })
      })
      expect(answer.status).toBeLessThan(500)
    }
  })

  test.each(['/v1/events?type=', '/v1/events?accepted_from=', '/v1/events/', '/'])('the address %s', async (path) => {
    for (const piece of pieces) {
      const address = `${pipeline.url}${path}${piece.repeat(15_000 / piece.length)}`
      expect((await unstalled(() => fetch(address))).status).toBeLessThan(500)
    }
  })
})

test('a batch of blank lines is skipped', async () => {
  const headers = { 'content-type': 'application/x-ndjson' }
  for (const blank of ['\n', ' \n', '\r\n']) {
    const init = { method: 'POST', headers, body: blank.repeat(BATCH / blank.length) }
    expect((await unstalled(() => contract.ask('/v1/events/batch', init))).body).toMatchObject({ items: [] })
  }
})

test('an event with the maximum number of names is accepted', async () => {
  // With `type`, `data` and `value`.
  const body = event(objectOf(MAX_MEMBERS - 3))
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
  expect((await unstalled(() => contract.ask('/v1/events', init))).status).toBe(202)
})

test('a batch of maximum size that is accepted', async () => {
  const events = many(event(listOf('1.25', 8_000)))
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: `[${events.join(',')}]` }
  expect((await unstalled(() => contract.ask('/v1/events/batch', init))).body.accepted).toBe(1_000)
})

test('more items than a batch may have are not read', async () => {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: listOf('1', BATCH) }
  expect((await unstalled(() => contract.ask('/v1/events/batch', init))).body.code).toBe('body-too-large')
})

test('a stall of the loop is detected', async () => {
  const hold = async () => {
    // Counts processor time, so that other load on the machine does not matter.
    const before = process.cpuUsage()
    for (let used = 0; used < 1_500_000; ) {
      const { user, system } = process.cpuUsage(before)
      used = user + system
    }
  }
  await expect(unstalled(hold, 2)).rejects.toThrow('the event loop was held up for')
})
