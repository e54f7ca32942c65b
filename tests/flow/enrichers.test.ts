/**
 * What enrichers get: exact numbers, a cache that may be down without a failure, statements and calls with time limits.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { defineEvent, type Enricher, lookup, Type } from '@eventflow/sdk'
import { startOwnRedis, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'

/** Beyond 2^53: as a number it would be …456790. */
const LARGE = '1234567890123456789'

const Data = Type.Object({ n: Type.Integer(), list: Type.Optional(Type.Array(Type.Integer())) })

const stepWith = (enrich: Enricher['enrich'], attempts = 1) =>
  defineEvent({ type: 'step', schema: Data, enrich: [{ name: 'own', enrich }], retry: { attempts, baseDelayMs: 10 } })

let stops: (() => unknown)[] = []

afterEach(async () => {
  for (const stop of stops.reverse()) await stop()
  stops = []
})

async function start(...given: Parameters<typeof startPipeline>): Promise<TestPipeline> {
  const pipeline = await startPipeline(...given)
  stops.push(() => pipeline.stop())
  return pipeline
}

const payloads = async ({ db }: TestPipeline) =>
  (await db.query('SELECT payload FROM processed_events ORDER BY seq')).rows.map(({ payload }) => payload)

const failures = async ({ db }: TestPipeline) =>
  (await db.query('SELECT component, error_class, message, attempts FROM failed_events')).rows

test('a look-up adds values exact to the digit, also from the cache, and an integer can be a key', async () => {
  const step = defineEvent({
    type: 'step',
    schema: Data,
    enrich: [
      lookup({
        table: 'accounts',
        key: 'n',
        columns: ['number', 'rate'],
        fields: { account: ({ data }) => data.n as number },
        cacheSize: 1,
      }),
    ],
    prepare: async (tx) => {
      await tx.query('CREATE TABLE accounts (n integer PRIMARY KEY, number bigint, rate numeric)')
      await tx.query(`INSERT INTO accounts VALUES (7, ${LARGE}, 0.1), (8, 8, 3.14159265358979323846)`)
    },
  })
  const pipeline = await start([step])
  await pipeline.startWorker()
  const seven = { n: 7, account: { number: LARGE, rate: 0.1 } }
  const eight = { n: 8, account: { number: 8, rate: '3.14159265358979323846' } }
  for (const n of [7, 8, 7, 8]) {
    await pipeline.send([{ type: 'step', data: { n } }])
    await pipeline.drained()
  }
  expect(await payloads(pipeline)).toEqual([seven, eight, seven, eight])
})

test('with Redis down the cache finds and keeps nothing, and no event fails for it', async () => {
  const redis = await startOwnRedis()
  const cached: (string | undefined)[] = []
  const step = stepWith(async (events, { cache }) => {
    cached.push(...(await cache.getMany(['k'])))
    await cache.setMany(new Map([['k', 'kept']]), 60_000)
    return events.map(() => ({}))
  })
  const pipeline = await start([step], { REDIS_URL: redis.url })
  await pipeline.startWorker()
  const send = async (n: number) => {
    await pipeline.send([{ type: 'step', data: { n } }])
    await pipeline.drained()
  }
  await send(1)
  await send(2)
  await redis.stop()
  await send(3)
  expect([await failures(pipeline), cached]).toEqual([[], [undefined, 'kept', undefined]])
})

test('a statement that always takes too long costs an attempt each time', async () => {
  const step = stepWith(async (_, { sql }) => {
    await sql.query(`SET statement_timeout = '50ms'; SELECT pg_sleep(5)`)
    return []
  }, 2)
  const pipeline = await start([step])
  await pipeline.startWorker()
  await pipeline.send([{ type: 'step', data: { n: 1 } }])
  await pipeline.drained()
  expect(await failures(pipeline)).toEqual([
    expect.objectContaining({
      component: 'enrich:own',
      attempts: 2,
      message: expect.stringContaining('statement timeout'),
    }),
  ])
})

test('a worker stops in time although an enricher does not answer, and its event loses no attempt', async () => {
  let hangs = true
  let asked = 0
  const step = stepWith(async (events) => {
    asked++
    if (hangs) await new Promise(() => {})
    return events.map(() => ({}))
  })
  const pipeline = await start([step], { EVENTFLOW_SHUTDOWN_TIMEOUT_MS: '600' })
  const worker = await pipeline.startWorker('a')
  await pipeline.send([{ type: 'step', data: { n: 1 } }])
  await until('it is asked', () => asked > 0)
  await worker.stop()
  hangs = false
  await pipeline.startWorker('b')
  await pipeline.drained()
  const [settled] = (await pipeline.db.query('SELECT attempts FROM processed_events')).rows
  expect(settled).toEqual({ attempts: 1 })
})

test('an event changed by an enricher or a rule is as stored for the next run', async () => {
  const seen: unknown[] = []
  const step = defineEvent({
    type: 'step',
    schema: Data,
    enrich: [
      {
        name: 'own',
        enrich: (events) =>
          events.map((event) => {
            Object.assign(event, { key: 'another', extensions: {} })
            return { of: { n: event.data.n } }
          }),
      },
    ],
    validate: (event) => {
      seen.push([event.key, event.extensions])
      expect(() => Object.assign(event.data, { n: 0 })).toThrow(TypeError)
      expect(() => (event.data.list as number[]).push(0)).toThrow(TypeError)
      expect(() => Object.assign(event.data.of as object, { n: 0 })).toThrow(TypeError)
      expect(() => Object.assign(event.extensions!, { subject: 'y' })).toThrow(TypeError)
      return []
    },
  })
  const pipeline = await start([step])
  await pipeline.startWorker()
  await pipeline.send([{ type: 'step', partitionkey: 'k', subject: 'x', data: { n: 5, list: [1] } }])
  await pipeline.drained()
  expect([await failures(pipeline), await payloads(pipeline)]).toEqual([[], [{ n: 5, list: [1], of: { n: 5 } }]])
  expect(seen).toEqual([['k', { subject: 'x' }]])
})

test('if every call fails after a while, the events are soon enriched concurrently', async () => {
  let asking = 0
  let most = 0
  const step = stepWith(async () => {
    most = Math.max(most, ++asking)
    await delay(60)
    asking--
    throw new Error('too slow')
  })
  const pipeline = await start([step], { EVENTFLOW_PARTITIONS: '1', EVENTFLOW_ENRICH_TIMEOUT_SECONDS: '0.3' })
  await pipeline.send(Array.from({ length: 64 }, (_, n) => ({ type: 'step', data: { n } })))
  await pipeline.startWorker()
  await pipeline.drained()
  expect((await failures(pipeline)).length).toBe(64)
  // The rest of the halves after about five calls.
  expect(most).toBeGreaterThan(10)
})
