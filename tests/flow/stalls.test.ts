/** The largest bodies that are read, of the parts that cost the most: nobody else waits for them for longer than a moment. */
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Contract, readContract } from '../contract.js'
import { unstalled } from '../unstalled.js'

/** Of the default settings: what one event may be as text, and a batch. */
const EVENT = 2 * 262_144 + 65_536
const BATCH = 8_388_608
const MAX_MEMBERS = 20_000

let pipeline: TestPipeline
let contract: Contract

beforeAll(async () => {
  pipeline = await startPipeline([])
  contract = await readContract(pipeline.url)
})

afterAll(() => pipeline.stop())

const event = (value: string) => `{"type":"note.taken","data":{"value":${value}}}`
const listOf = (piece: string, length: number) => `[${piece},`.padEnd(length - 100, `${piece},`).replace(/,[^,]*$/, ']')
const objectOf = (names: number) => `{${Array.from({ length: names }, (_, n) => `"${n.toString(36)}n":0`)}}`
/** As many events of so many characters as a batch has room for. */
const many = (one: string) => Array(Math.min(1_000, Math.floor((BATCH - 10) / (one.length + 1)))).fill(one)

describe.each<[what: string, event: string, status: number]>([
  ['a text', event(`"${'x'.repeat(EVENT - 100)}"`), 413],
  ['digits', event('1'.repeat(EVENT - 100)), 400],
  ['numbers', event(listOf('1.5', EVENT)), 413],
  ['empty lists', event(listOf('[]', EVENT)), 413],
  ['one name many times', `{"type":"note.taken","data":{${listOf('"a":1', EVENT).slice(1, -1)}}}`, 400],
  ['many names', event(objectOf(50_000)), 400],
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

test('an event with as many names as it may have is taken', async () => {
  // With `type`, `data` and `value`.
  const body = event(objectOf(MAX_MEMBERS - 3))
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
  expect((await unstalled(() => contract.ask('/v1/events', init))).status).toBe(202)
})

test('a batch as large as it may be that is taken', async () => {
  const events = many(event(listOf('1.25', 8_000)))
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: `[${events.join(',')}]` }
  expect((await unstalled(() => contract.ask('/v1/events/batch', init))).body.accepted).toBe(1_000)
})

test('more items than a batch may have are not read', async () => {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: listOf('1', BATCH) }
  expect((await unstalled(() => contract.ask('/v1/events/batch', init))).body.code).toBe('body-too-large')
})

test('whatever does hold the loop up is noticed', async () => {
  const hold = async () => {
    // For a second of the processor, however long that takes: what others take of it does not count.
    const before = process.cpuUsage()
    for (let used = 0; used < 1_000_000; ) {
      const { user, system } = process.cpuUsage(before)
      used = user + system
    }
  }
  await expect(unstalled(hold)).rejects.toThrow('the event loop was held up for')
})
