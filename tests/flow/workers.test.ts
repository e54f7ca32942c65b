/**
 * Workers: what a stream may contain, and how partitions are shared. In one process; crashes.long.test.ts has the
 * crashes.
 */
import { randomUUID } from 'node:crypto'
import { type AcceptedEvent, CONSUMER_GROUP, packEntry, partitionOf } from '@eventflow/core'
import { createSeal, FIELD, readNew, streamKey } from '@eventflow/redis'
import { acceptEvents, newEvent, startPipeline, startSteadyLoad, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

let pipeline: TestPipeline

beforeEach(async () => {
  pipeline = await startPipeline([step])
})

afterEach(() => pipeline.stop())

const event = (key: string, n: number) => ({ type: 'fault.step', data: { key, n } })
const events = (count: number) => Array.from({ length: count }, (_, n) => event(`key ${n % 23}`, Math.floor(n / 23)))

/** The effects of each key, in order. */
async function effects(): Promise<Map<string, number[]>> {
  const { rows } = await pipeline.db.query('SELECT key, array_agg(n ORDER BY at) AS done FROM effects GROUP BY key')
  return new Map(rows.map(({ key, done }) => [key, done]))
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Checks that every event took effect once, and each key's in order. */
async function expectAllOnceInOrder(sent: readonly { data: { key: string } }[]): Promise<void> {
  const expected = new Map<string, number>()
  for (const { data } of sent) expected.set(data.key, (expected.get(data.key) ?? 0) + 1)
  expect(await effects()).toEqual(new Map([...expected].map(([key, count]) => [key, upTo(count)])))
}

const partitions = () => upTo(pipeline.partitions)
const owners = async () => {
  const { rows } = await pipeline.db.query('SELECT owner, count(*)::integer AS count FROM partitions GROUP BY owner')
  return Object.fromEntries(rows.map(({ owner, count }) => [owner, count]))
}
const untilOwners = (expected: Record<string, number>) =>
  until(`the owners are ${JSON.stringify(expected)}`, async () => {
    const found = await owners()
    return (
      Object.keys(found).length === Object.keys(expected).length &&
      Object.entries(expected).every(([owner, count]) => found[owner] === count)
    )
  })

describe('entries of a stream', () => {
  /** Makes the workers read the streams: a first start reads events from Postgres. */
  async function streamsAreInUse() {
    const worker = await pipeline.startWorker('first')
    await until('its partitions are read from their streams', async () => {
      const { rows } = await pipeline.db.query('SELECT FROM partitions WHERE redis_run_id IS NULL')
      return rows.length === 0
    })
    await worker.stop()
  }

  test('that are there twice, or were pending with a dead consumer, have their effects once', async () => {
    await streamsAreInUse()
    const sent = events(1_000)
    await pipeline.send(sent)
    for (const partition of partitions()) {
      const stream = streamKey(pipeline.prefix, partition)
      for (const [, fields] of await pipeline.redis.xrange(stream, '-', '+')) {
        await pipeline.redis.xadd(stream, '*', ...fields)
      }
    }
    const { entries: taken } = await readNew(pipeline.redis, pipeline.prefix, pipeline.seal, 'died', partitions(), {
      count: 2,
      blockMs: 1,
    })
    expect(taken.length).toBeGreaterThan(5)

    const { metrics } = await pipeline.startWorker('second')
    await pipeline.drained()
    await pipeline.streamsEmpty()
    await expectAllOnceInOrder(sent)
    expect((await metrics.entriesClaimed.get()).values[0]?.value).toBe(taken.length)
    expect((await metrics.catchUpEvents.get()).values.filter(({ value }) => value > 0)).toEqual([])
  })

  test('that a former owner was given after the takeover are not overtaken', async () => {
    await streamsAreInUse()
    await pipeline.startWorker('second')
    await until('it reads', async () => (await owners()).second === pipeline.partitions)
    await pipeline.send([event('stolen', 0)])
    await pipeline.drained()

    const partition = partitionOf('default', 'stolen', pipeline.partitions)
    const stored = newEvent({ type: 'fault.step', key: 'stolen', partition, payload: '{"key":"stolen","n":1}' })
    const [{ data: _, ...accepted }] = (await acceptEvents(pipeline.db, [stored])) as [AcceptedEvent]
    const stream = streamKey(pipeline.prefix, partition)
    // In one transaction, so that no other consumer is given the entry.
    await pipeline.redis
      .multi()
      .xadd(stream, '*', FIELD, pipeline.seal.close(stream, packEntry([{ ...accepted, payload: stored.payload }])))
      .xreadgroup('GROUP', CONSUMER_GROUP, 'first', 'COUNT', 1, 'STREAMS', stream, '>')
      .exec()
    await pipeline.send([event('stolen', 2)])

    await pipeline.drained()
    expect((await effects()).get('stolen')).toEqual([0, 1, 2])
  })

  test('of another database are removed when the pipeline starts afresh on an old Redis', async () => {
    const other = (n: number): AcceptedEvent => {
      const at = new Date().toISOString()
      const names = { tenantId: 'default', type: 'fault.step', source: '/', correlationId: 'x', occurredAt: at }
      const data = { key: 'other', n }
      return { ...names, id: randomUUID(), key: 'other', partition: n % 16, acceptedAt: at, seq: 1_000_000 + n, data }
    }
    const add = ({ data, ...event }: AcceptedEvent) => {
      const stream = streamKey(pipeline.prefix, event.partition)
      const text = packEntry([{ ...event, payload: JSON.stringify(data) }])
      return pipeline.redis.xadd(stream, '*', FIELD, createSeal(Buffer.alloc(32)).close(stream, text))
    }
    for (const n of upTo(100)) await add(other(n))
    const sent = events(200)
    await pipeline.send(sent)
    await pipeline.startWorker()
    await pipeline.drained()
    await pipeline.streamsEmpty()
    await expectAllOnceInOrder(sent)
  })

  test('that are forged, changed or moved have no effect, and cause no loss or reordering', async () => {
    await streamsAreInUse()
    const secret = createSeal(Buffer.alloc(32))
    const forge = (partition: number) => {
      const at = new Date().toISOString()
      const names = { type: 'fault.step', tenantId: 'victim', source: '/', key: 'forged', correlationId: 'x' }
      const times = { occurredAt: at, acceptedAt: at, seq: 1_000_000, payload: '{"key":"forged","n":0}' }
      return packEntry([{ ...names, ...times, id: randomUUID(), partition }])
    }
    // What is done to the first entry of a key, each in a separate stream: later events of that stream are processed
    // after it.
    const done: Record<string, (stream: string, partition: number, closed: string) => string> = {
      'no seal': (_, partition) => forge(partition),
      'another secret': (stream, partition) => secret.close(stream, forge(partition)),
      changed: (_, __, closed) => closed.replaceAll('"n":0', '"n":7'),
      moved: (_, partition) => pipeline.seal.close(streamKey(pipeline.prefix, partition + 1), forge(partition)),
    }
    const taken = new Set<number>()
    const keys: string[] = []
    for (const [name, change] of Object.entries(done)) {
      const partitionIn = (n: number) => partitionOf('default', `${name} ${n}`, pipeline.partitions)
      const number = upTo(1_000).find((n) => !taken.has(partitionIn(n)))!
      const [key, partition] = [`${name} ${number}`, partitionIn(number)]
      taken.add(partition)
      keys.push(key)
      await pipeline.send([event(key, 0)])
      const stream = streamKey(pipeline.prefix, partition)
      const [[id, [, closed]]] = (await pipeline.redis.xrange(stream, '-', '+')) as [[string, string[]]]
      await pipeline.redis.xdel(stream, id)
      await pipeline.redis.xadd(stream, '*', FIELD, change(stream, partition, closed!))
      await pipeline.send([event(key, 1)])
    }

    const { metrics } = await pipeline.startWorker('second')
    await pipeline.drained()
    await pipeline.streamsEmpty()
    expect(await effects()).toEqual(new Map(keys.map((key) => [key, [0, 1]])))
    expect((await metrics.foreignEntries.get()).values[0]?.value).toBe(4)
  })

  test('in the stream of another partition are removed', async () => {
    await streamsAreInUse()
    const stored = newEvent({ type: 'fault.step', key: 'a', partition: 3, payload: '{"key":"a","n":0}' })
    const [{ data: _, ...accepted }] = (await acceptEvents(pipeline.db, [stored])) as [AcceptedEvent]
    for (const partition of [4, 3]) {
      const stream = streamKey(pipeline.prefix, partition)
      const text = packEntry([{ ...accepted, payload: stored.payload }])
      await pipeline.redis.xadd(stream, '*', FIELD, pipeline.seal.close(stream, text))
    }
    await pipeline.startWorker('second')
    await pipeline.drained()
    await pipeline.streamsEmpty()
    expect(await effects()).toEqual(new Map([['a', [0]]]))
  })

  test('that are not events are removed and logged, and stop nothing', async () => {
    await streamsAreInUse()
    const sent = events(200)
    const add = (partition: number, ...fields: string[]) =>
      pipeline.redis.xadd(streamKey(pipeline.prefix, partition), '*', ...fields)
    const garbage = [
      [FIELD, 'no JSON'],
      [FIELD, ''],
      [FIELD, 'null'],
      [FIELD, '[]'],
      [FIELD, '{"seq":1,"id":"x","data":{}}'],
      [FIELD, JSON.stringify({ seq: 1, id: randomUUID(), data: null })],
      [FIELD, JSON.stringify({ seq: 1, id: randomUUID(), tenantId: 'default', data: {} })],
      ['another field', 'x'],
    ]
    for (const partition of partitions()) for (const fields of garbage) await add(partition, ...fields)
    await pipeline.send(sent)
    for (const fields of garbage) await add(0, ...fields)

    await pipeline.startWorker('second')
    await pipeline.drained()
    await pipeline.streamsEmpty()
    await expectAllOnceInOrder(sent)
    expect((await pipeline.db.query('SELECT FROM failed_events')).rows).toHaveLength(0)
    const told = pipeline.logged.filter(({ msg }) =>
      msg.startsWith('removing entries that this installation did not write'),
    )
    expect(told.flatMap(({ entries }) => entries)).toHaveLength(garbage.length * (pipeline.partitions + 1))
  })
})

test('a worker that stops releases its partitions, and the next one continues where it was', async () => {
  const keys = upTo(20).map((n) => `key ${n}`)
  const load = startSteadyLoad(pipeline.url, { keys, eventOf: event, pauseMs: 40 })
  for (const id of ['first', 'second', 'third']) {
    const worker = await pipeline.startWorker(id)
    await untilOwners({ [id]: 16 })
    const before = load.total()
    await until('it has worked for a while', async () => {
      const { rows } = await pipeline.db.query('SELECT count(*)::integer AS count FROM effects')
      return rows[0].count > before + 100
    })
    await worker.stop()
    expect(await owners()).toEqual({ null: 16 })
    expect((await pipeline.db.query('SELECT FROM workers')).rows).toHaveLength(0)
  }
  await load.stop()
  await pipeline.startWorker('last')
  await pipeline.drained()
  await pipeline.streamsEmpty()
  expect(await effects()).toEqual(new Map([...load.acknowledged].map(([key, count]) => [key, upTo(count)])))
})

test('workers share the partitions, while workers come and go, and under load no order is lost', async () => {
  const keys = upTo(40).map((n) => `key ${n}`)
  const load = startSteadyLoad(pipeline.url, { keys, eventOf: event, pauseMs: 80 })
  const a = await pipeline.startWorker('a')
  await untilOwners({ a: 16 })
  await pipeline.startWorker('b')
  await untilOwners({ a: 8, b: 8 })
  await pipeline.startWorker('c')
  await untilOwners({ a: 6, b: 5, c: 5 })
  await a.stop()
  await untilOwners({ b: 8, c: 8 })
  await load.stop()
  await pipeline.drained()
  await pipeline.streamsEmpty()
  expect(await effects()).toEqual(new Map([...load.acknowledged].map(([key, count]) => [key, upTo(count)])))
  const { rows } = await pipeline.db.query('SELECT DISTINCT worker_id FROM processed_events ORDER BY worker_id')
  expect(rows.map(({ worker_id }) => worker_id)).toEqual(['a', 'b', 'c'])
})

test('a stream that was full is used again while events keep coming', async () => {
  await pipeline.stop()
  pipeline = await startPipeline([step], { EVENTFLOW_MAX_STREAM_LENGTH: '100' })
  const partition = partitionOf('default', 'key 0', pipeline.partitions)
  const keys = upTo(400).map((n) => `key ${n}`)
  const together = keys.filter((key) => partitionOf('default', key, pipeline.partitions) === partition)
  const load = startSteadyLoad(pipeline.url, { keys: together, eventOf: event, pauseMs: 40 })
  const dirty = async () => {
    const { rows } = await pipeline.db.query('SELECT dirty FROM partition_marks WHERE id = $1', [partition])
    return Number(rows[0].dirty)
  }
  await until('the stream is full', async () => (await dirty()) > 0)
  await pipeline.startWorker()
  await until('it has made up for that', async () => (await dirty()) === 0, 40_000)
  await load.stop()
  await pipeline.drained()
  await pipeline.streamsEmpty()
  expect(await effects()).toEqual(new Map([...load.acknowledged].map(([key, count]) => [key, upTo(count)])))
}, 60_000)
