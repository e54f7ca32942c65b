/** The lag seen from outside, with and without workers, with and without Redis. */
import { type PipelineLag, readLag, readStock, sparing } from '@eventflow/monitor'
import { createRedisMonitor, readNew } from '@eventflow/redis'
import { administer, type Server, startOwnRedis, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

let redis: Server
let pipeline: TestPipeline

beforeAll(async () => {
  redis = await startOwnRedis()
  pipeline = await startPipeline([step], { REDIS_URL: redis.url })
})

afterAll(async () => {
  await pipeline.stop()
  await redis.stop()
})

const lag = () => readLag(pipeline.db, createRedisMonitor(pipeline.redis, pipeline.prefix))
const untilLag = (what: string, is: (lag: PipelineLag) => boolean) =>
  until(what, async () => {
    const now = await lag()
    return is(now) && now
  })
const events = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ type: 'fault.step', data: { key: `key ${n}`, n } }))
const sum = (partitions: PipelineLag['partitions'], of: 'depth' | 'pending' | 'lag' | 'unsettled') =>
  partitions.reduce((total, partition) => total + (partition[of] ?? Number.NaN), 0)

test('before the first worker, Postgres gives the backlog', async () => {
  await pipeline.send(events(100))
  const now = await lag()
  expect(now).toMatchObject({ lag: 100, unsettled: 100, retrying: 0, workers: [], redisError: null })
  expect(now.partitions).toHaveLength(16)
  for (const partition of now.partitions)
    expect(partition).toMatchObject({ owner: null, source: 'postgres', pending: 0 })
  for (const { depth, unsettled } of now.partitions) expect(depth).toBe(unsettled === 0 ? 0 : 1)
  expect(now.oldestUnsettledAgeSeconds).toBeGreaterThan(0)
  expect(now.lagSeconds).toBe(now.oldestUnsettledAgeSeconds)
})

test('with a worker nothing waits; without it, undelivered events wait in the stream', async () => {
  const worker = await pipeline.startWorker('a')
  await pipeline.drained()
  const idle = await untilLag(
    'all are read from their streams',
    ({ partitions, lag }) => lag === 0 && partitions.every(({ source }) => source === 'stream'),
  )
  expect(idle).toMatchObject({ lag: 0, lagSeconds: 0, unsettled: 0, oldestUnsettledAgeSeconds: 0, workers: ['a'] })
  for (const { owner, epoch } of idle.partitions) expect({ owner, epoch }).toEqual({ owner: 'a', epoch: 1 })
  await worker.stop()

  for (let n = 0; n < 20; n++) await pipeline.send(events(10))
  const before = (await lag()).partitions
  const first = before.find(({ depth }) => depth! > 8)
  await readNew(pipeline.redis, pipeline.prefix, pipeline.seal, 'other', [first!.partition], {
    count: 4,
    blockMs: 1,
  })
  const behind = await untilLag('it has waited', ({ lagSeconds }) => lagSeconds > 0.2)
  expect(behind).toMatchObject({ unsettled: 200, workers: [] })
  expect(sum(behind.partitions, 'depth')).toBe(sum(before, 'depth'))
  expect(behind.lag).toBe(200 - Math.round((first!.unsettled * 4) / first!.depth!))
  expect(sum(behind.partitions, 'pending')).toBe(4)
  expect(behind.oldestUnsettledAgeSeconds).toBeGreaterThanOrEqual(behind.lagSeconds - 0.1)
  for (const { owner, source } of behind.partitions)
    expect({ owner, source }).toEqual({ owner: null, source: 'stream' })
})

test('while Redis is down, and for entries it lost, Postgres gives the backlog', async () => {
  await redis.crash(0, async () => {
    await pipeline.send(events(50))
    const away = await untilLag('Redis is away', ({ redisError }) => redisError !== null)
    expect(away).toMatchObject({ lag: 250, unsettled: 250 })
    for (const partition of away.partitions) {
      expect(partition).toMatchObject({ source: 'postgres', depth: null, pending: null })
    }
  })
  const back = await untilLag('Redis is back', ({ redisError }) => redisError === null)
  expect(back.lag).toBe(250)
  for (const { source } of back.partitions) expect(source).toBe('postgres')

  const worker = await pipeline.startWorker('b')
  await pipeline.drained()
  await untilLag('nothing waits', (now) => now.lag === 0 && now.unsettled === 0 && now.oldestUnsettledAgeSeconds === 0)
  await worker.stop()
})

test('the backlog is given by type, and in bytes', async () => {
  const worker = await pipeline.startWorker('c')
  await pipeline.send([
    { type: 'fault.step', data: { key: 'k', n: 0, mood: 'bad' } },
    { type: 'unknown.type', data: {} },
  ])
  await pipeline.drained()
  await worker.stop()
  const stock = await readStock(pipeline.db)
  expect(stock.deadLetters).toEqual(new Map(Object.entries({ 'fault.step': 1, 'unknown.type': 1 })))
  expect(stock.postgresBytes).toBeGreaterThan(1_000_000)
})

test('an event that Postgres always refuses stays visible, also when later ones are settled', async () => {
  const refuse = (table: string) =>
    administer(
      `ALTER TABLE ${table} ADD CONSTRAINT refused CHECK (payload ->> 'mood' IS DISTINCT FROM 'refused')`,
      pipeline.databaseUrl,
    )
  await refuse('processed_events')
  await refuse('failed_events')
  const of = (n: number, given = {}) => ({ type: 'fault.step', data: { key: 'k', n, ...given } })
  await pipeline.send([of(0, { mood: 'refused' }), ...Array.from({ length: 200 }, (_, n) => of(n + 1))])
  await pipeline.db.query(`UPDATE raw_events SET accepted_at = now() - interval '1 minute'`)
  const worker = await pipeline.startWorker('d')
  await until('the watermark has moved', async () => {
    const { rows } = await pipeline.db.query(`
      SELECT FROM raw_events r JOIN partitions p ON p.id = r.partition
      WHERE payload ->> 'mood' = 'refused' AND settled_seq >= seq - 1`)
    return rows.length === 1
  })
  await untilLag('it alone is left', ({ unsettled, lag }) => unsettled === 1 && lag === 0)
  expect((await lag()).oldestUnsettledAgeSeconds).toBeGreaterThan(59)
  await worker.stop()

  for (const table of ['processed_events', 'failed_events']) {
    await administer(`ALTER TABLE ${table} DROP CONSTRAINT refused`, pipeline.databaseUrl)
  }
  const next = await pipeline.startWorker('e')
  await pipeline.drained()
  await next.stop()
})

test('the cached reader shares results, rests fifty times as long as a read, and caches failures as briefly', async () => {
  let now = 0
  let reads = 0
  const outcomes: (() => Promise<number>)[] = []
  const read = sparing(
    async () => {
      reads++
      return outcomes.shift()!()
    },
    1_000,
    () => now,
  )
  const takes = (ms: number, value: number) => async () => {
    now += ms
    return value
  }
  outcomes.push(takes(2, 1), takes(100, 2), takes(1_000, 3), () => Promise.reject(new Error('away')), takes(1, 5))
  const gives = async (at: number, value: number) => {
    now = at
    expect(await read()).toBe(value)
  }
  expect(await Promise.all([read(), read()])).toEqual([1, 1])
  await gives(1_001, 1)
  await gives(1_002, 2)
  await gives(6_101, 2)
  await gives(6_102, 3)
  await gives(12_101, 3)
  now = 12_102
  await expect(read()).rejects.toThrow('away')
  now = 13_101
  await expect(read()).rejects.toThrow('away')
  await gives(13_102, 5)
  expect(reads).toBe(5)
})
