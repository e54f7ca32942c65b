/** Events that wait with a worker: how many may, and that nothing overtakes those beyond its limit. */
import { type AcceptedEvent, packEntry, partitionOf } from '@eventflow/core'
import { FIELD, readNew, streamKey } from '@eventflow/redis'
import {
  acceptEvents,
  type Link,
  newEvent,
  openLink,
  redisUrl,
  startPipeline,
  type TestPipeline,
  until,
} from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'
import { whileHeld } from './versions.fixture.js'

let link: Link
let pipeline: TestPipeline

beforeAll(async () => {
  link = await openLink(Number(new URL(redisUrl()).port))
})

afterEach(async () => {
  link.mode = { kind: 'pass' }
  await pipeline.stop()
})

afterAll(() => link.stop())

/** Keys of one partition. */
const keysOf = (partition: number, count: number) =>
  Array.from({ length: 2_000 }, (_, n) => `key ${n}`)
    .filter((key) => partitionOf('default', key, 16) === partition)
    .slice(0, count)
const [KEY, FREE] = keysOf(0, 2) as [string, string]
const [ELSEWHERE] = keysOf(1, 1) as [string]

const start = async (settings: Record<string, string> = {}) => {
  const url = new URL(redisUrl())
  url.hostname = '127.0.0.1'
  url.port = `${link.port}`
  pipeline = await startPipeline([step], { REDIS_URL: url.href, EVENTFLOW_LANES: '1', ...settings })
}
const send = (key: string, n: number, more: object = {}) =>
  pipeline.send([{ type: 'fault.step', data: { key, n, ...more } }])
const rows = async (text: string, values: unknown[] = []) => (await pipeline.db.query(text, values)).rows
const effectsOf = async (key: string) =>
  (await rows('SELECT n FROM effects WHERE key = $1 ORDER BY at', [key])).map(({ n }) => n)
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const takeSourceAway = () => rows('INSERT INTO source_away DEFAULT VALUES')
const bringSourceBack = () => rows('DELETE FROM source_away')

type TestWorker = Awaited<ReturnType<TestPipeline['startWorker']>>
async function gaugeOf(worker: TestWorker, gauge: 'waitingEvents' | 'catchingUp', partition = 0): Promise<number> {
  await worker.refreshGauges()
  const { values } = await worker.metrics[gauge].get()
  return values.find(({ labels }) => labels.partition === `${partition}`)?.value ?? -1
}

async function startOnStreams(id: string): Promise<TestWorker> {
  const worker = await pipeline.startWorker(id)
  await until('its streams are in use', async () => {
    const broken = await rows('SELECT FROM partitions WHERE redis_run_id IS NULL')
    return broken.length === 0
  })
  return worker
}

test.each([
  ['events', { EVENTFLOW_MAX_WAITING: '3' }, 3, ''],
  // Each partition has a sixteenth of it.
  ['data', { EVENTFLOW_MAX_WAITING_BYTES: '48000' }, 3, 'x'.repeat(1_200)],
])('as many %s wait as allowed, and then their partition pauses and no other one', async (_, settings, most, text) => {
  await start(settings)
  const worker = await startOnStreams('a')
  await takeSourceAway()
  for (const n of upTo(most)) {
    await send(KEY, n, { mood: 'needs the source', text })
    await until('it waits', async () => (await gaugeOf(worker, 'waitingEvents')) === n + 1)
  }
  await send(FREE, 0)
  await send(KEY, most)
  for (const n of upTo(3)) {
    await send(ELSEWHERE, n)
    await until('another partition continues', async () => (await effectsOf(ELSEWHERE)).length === n + 1)
  }
  expect(await effectsOf(FREE)).toEqual([])
  expect(await gaugeOf(worker, 'waitingEvents')).toBe(most)
  await bringSourceBack()
  await pipeline.drained()
  expect(await effectsOf(KEY)).toEqual(upTo(most + 1))
  expect(await effectsOf(FREE)).toEqual([0])
})

test('events known only to their owner are written down before the stream is used again, and come first after it', async () => {
  await start()
  const worker = await startOnStreams('a')
  await takeSourceAway()
  link.mode = { kind: 'refuse' }
  link.reset()
  await until('Redis is away', () => pipeline.redis.status !== 'ready')
  await send(KEY, 0, { mood: 'needs the source' })
  await send(KEY, 1)
  await until('both wait', async () => (await gaugeOf(worker, 'waitingEvents')) === 2)
  link.mode = { kind: 'pass' }
  await until('the stream is in use again', async () => (await gaugeOf(worker, 'catchingUp')) === 0)
  await worker.stop()
  expect(await rows('SELECT attempts FROM retries')).toEqual([{ attempts: 0 }, { attempts: 0 }])
  await send(KEY, 2)
  await bringSourceBack()
  await pipeline.startWorker('b')
  await pipeline.drained()
  expect(await effectsOf(KEY)).toEqual([0, 1, 2])
})

test('a partition counts as catching up until it is read from its stream', async () => {
  await start()
  let worker!: TestWorker
  await whileHeld(pipeline, 'LOCK log_holds IN ACCESS EXCLUSIVE MODE', async () => {
    worker = await pipeline.startWorker('a')
    await until('it has taken the partition', async () => (await gaugeOf(worker, 'catchingUp')) !== -1)
    expect(await gaugeOf(worker, 'catchingUp')).toBe(1)
  })
  await until('the stream is in use', async () => (await gaugeOf(worker, 'catchingUp')) === 0)
  expect(await rows('SELECT FROM partitions WHERE id = 0 AND redis_run_id IS NULL')).toEqual([])
})

const stored = (key: string, n: number) =>
  newEvent({ type: 'fault.step', key, partition: 0, payload: JSON.stringify({ key, n }) })

test.each([
  ['more retries than may wait are loaded as there is room', '100'],
  ['more retries than are read at once are loaded one page after the other', '10000'],
])('%s, in the order of acceptance, and all others come after them', async (_, room) => {
  await start({ EVENTFLOW_MAX_WAITING: room })
  await (await startOnStreams('a')).stop()
  const keys = keysOf(0, 5)
  await acceptEvents(
    pipeline.db,
    upTo(350).map((n) => stored(keys[n % 5]!, Math.floor(n / 5))),
  )
  // The last ones are due first.
  await rows(`INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, history)
              SELECT tenant_id, event_id, seq, partition, 1, now() - seq * interval '1 ms', '[]' FROM raw_events`)
  for (const key of keys) await send(key, 70)
  await pipeline.startWorker('b')
  await pipeline.drained()
  for (const key of keys) expect(await effectsOf(key)).toEqual(upTo(71))
})

test('everything pending with a dead worker is taken over, however much, before anything new', async () => {
  await start()
  await (await startOnStreams('a')).stop()
  const events = upTo(250).map((n) => stored(KEY, n))
  const accepted = await acceptEvents(pipeline.db, events)
  const stream = streamKey(pipeline.prefix, 0)
  for (const [n, { data: _, ...event }] of (accepted as AcceptedEvent[]).entries()) {
    const text = pipeline.seal.close(stream, packEntry([{ ...event, payload: events[n]!.payload }]))
    await pipeline.redis.xadd(stream, '*', FIELD, text)
  }
  const { entries } = await readNew(pipeline.redis, pipeline.prefix, pipeline.seal, 'died', [0], {
    count: 1_000,
    blockMs: 1,
  })
  expect(entries).toHaveLength(250)
  await send(KEY, 250)
  await pipeline.startWorker('b')
  await pipeline.drained()
  expect(await effectsOf(KEY)).toEqual(upTo(251))
})
