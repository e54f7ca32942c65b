/** The dirty mark of a partition, raised by ingest while a worker settles: neither waits, and order is kept. */
import { partitionOf } from '@eventflow/core'
import { markDirty } from '@eventflow/db'
import { defineEvent, type EventDefinition, TransientError, Type } from '@eventflow/sdk'
import { post, type Server, startOwnRedis, startPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let redis: Server

beforeAll(async () => {
  redis = await startOwnRedis()
})

afterAll(() => redis.stop())

/** A definition that appends what it handles to `effects`, after `first` is done. */
function step(given: Partial<EventDefinition> & { first?: (n: number) => Promise<void> } = {}) {
  const { first, ...rest } = given
  return defineEvent({
    type: 'step.done',
    schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
    key: (data) => data.key,
    async handle({ data }, tx) {
      await first?.(data.n)
      await tx.query('SELECT pg_sleep(0.006)')
      await tx.query('INSERT INTO effects (key, n) VALUES ($1, $2)', [data.key, data.n])
    },
    prepare: async (tx) => {
      await tx.query('CREATE TABLE effects (id integer GENERATED ALWAYS AS IDENTITY, key text, n integer)')
    },
    ...(rest as object),
  })
}

const done = (key: string, n: number) => ({ type: 'step.done', data: { key, n } })

test('with Redis down a request waits for no handler: none is refused', async () => {
  let open = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  let inHandler = false
  const first = async (n: number) => {
    if (n !== 0) return
    inHandler = true
    await gate
  }
  const pipeline = await startPipeline([step({ first })], { REDIS_URL: redis.url })
  await pipeline.startWorker()
  await redis.crash(0, async () => {
    await pipeline.send([done('held', 0)])
    await until('a transaction holds the partition', () => inHandler)
    for (let n = 1; n <= 20; n++) {
      expect((await post(`${pipeline.url}/v1/events`, done('held', n))).status).toBe(202)
    }
    open()
    // Handlers of 6 ms an event, several requests at once.
    const lane = async (key: string) => {
      for (let n = 1; n <= 25; n++) {
        expect((await post(`${pipeline.url}/v1/events`, done(key, n))).status).toBe(202)
      }
    }
    await Promise.all(['a', 'b', 'c', 'd'].map(lane))
    await pipeline.drained(20_000)
  })
  const { rows } = await pipeline.db.query('SELECT key, array_agg(n ORDER BY id) AS ns FROM effects GROUP BY key')
  const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
  expect(Object.fromEntries(rows.map(({ key, ns }) => [key, ns]))).toEqual({
    held: upTo(0, 20),
    ...Object.fromEntries(['a', 'b', 'c', 'd'].map((key) => [key, upTo(1, 25)])),
  })
  await pipeline.stop()
}, 60_000)

test('a mark between the two fence reads of a settling transaction writes neither a retry nor the events before it', async () => {
  let failures = 1
  const definition = step({
    retry: { attempts: 3, baseDelayMs: 50, maxDelayMs: 50 },
    enrich: [
      {
        name: 'second',
        async enrich(events) {
          if (events.some(({ data }) => (data as { n: number }).n === 2) && failures > 0) {
            if (events.length === 1) failures--
            throw new TransientError('not now')
          }
          return events.map(() => ({}))
        },
      },
    ],
  })
  const pipeline = await startPipeline([definition], { EVENTFLOW_LANES: '1' })
  await pipeline.startWorker()
  const { db } = pipeline
  const partition = partitionOf('default', 'k', pipeline.partitions)
  await pipeline.send([done('k', 0)])
  await pipeline.drained()
  await until('it works from its stream', async () => {
    const { rows } = await db.query('SELECT FROM partitions WHERE id = $1 AND redis_run_id IS NOT NULL', [partition])
    return rows.length === 1
  })
  // The first read waits for the partition's row, with a snapshot from before the mark; the second read comes after it.
  const stranger = await db.connect()
  await stranger.query('BEGIN')
  await stranger.query('SELECT FROM partitions WHERE id = $1 FOR UPDATE', [partition])
  await pipeline.send([1, 2, 3].map((n) => done('k', n)))
  await until('the fence waits', async () => {
    const { rows } = await db.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%held.dirty%'`,
    )
    return rows.length > 0
  })
  await markDirty(db, [partition])
  await stranger.query('COMMIT')
  stranger.release()
  await pipeline.drained(15_000)
  const { rows } = await db.query('SELECT n FROM effects ORDER BY id')
  expect(rows.map(({ n }) => n)).toEqual([0, 1, 2, 3])
  await pipeline.stop()
}, 30_000)
