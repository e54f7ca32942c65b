/** Fairness between tenants: whoever has sent little does not wait for whoever has sent much, wherever the backlog lies. */
import { createApiKey, createTenant, markDirty } from '@eventflow/db'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

const MANY = 50_000
const FEW = 10

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const TENANTS = ['big', 'small'] as const

let pipeline: TestPipeline
const keys = new Map<string, string>()

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_AUTH: 'required', EVENTFLOW_LOG_LEVEL: 'info' })
  for (const tenantId of TENANTS) {
    await createTenant(pipeline.db, tenantId, 'test')
    const { key } = await createApiKey(pipeline.db, { tenantId, name: 'test', scopes: ['ingest'] }, 'test')
    keys.set(tenantId, key)
  }
  const worker = await pipeline.startWorker()
  await until('the streams are in use', async () => {
    return (await pipeline.db.query('SELECT FROM partitions WHERE redis_run_id IS NULL')).rowCount === 0
  })
  await worker.stop()
})

beforeEach(async () => {
  await pipeline.db.query('TRUNCATE raw_events, processed_events, effects, totals')
  pipeline.logged.length = 0
})

afterAll(() => pipeline.stop())

/** Sends the events of one tenant, in order within each of its keys. */
async function send(tenant: (typeof TENANTS)[number], count: number): Promise<void> {
  const events = upTo(count).map((i) => {
    const data = { key: `${tenant} ${i % 1_000}`, n: Math.floor(i / 1_000) }
    return { type: 'fault.step', data }
  })
  for (let from = 0; from < count; from += 1_000) {
    const headers = { authorization: `Bearer ${keys.get(tenant)}` }
    const response = await post(`${pipeline.url}/v1/events/batch`, events.slice(from, from + 1_000), headers)
    expect(await response.json()).toMatchObject({ rejected: 0 })
  }
}

/** Starts a worker, and gives how many events of the big tenant were settled before the last one of the small tenant. */
async function bigOnesBeforeTheSmall(): Promise<number> {
  const worker = await pipeline.startWorker()
  await pipeline.drained(120_000)
  await pipeline.streamsEmpty()
  await worker.stop()
  const { rows } = await pipeline.db.query(`
    SELECT count(*)::integer AS before FROM processed_events
    WHERE tenant_id = 'big'
      AND processed_at <= (SELECT max(processed_at) FROM processed_events WHERE tenant_id = 'small')`)
  return rows[0].before
}

/** Every event took effect once, and each key's in order. */
async function expectAllOnceInOrder(): Promise<void> {
  const { rows } = await pipeline.db.query('SELECT key, array_agg(n ORDER BY at) AS done FROM effects GROUP BY key')
  expect(rows).toHaveLength(1_000 + FEW)
  for (const { key, done } of rows) {
    expect([key, done]).toEqual([key, upTo(key.startsWith('big') ? MANY / 1_000 : 1)])
  }
}

/** How often each partition came from Postgres to its stream. */
function returns(reason: string): number[] {
  const told = pipeline.logged.filter((line) => line.msg === 'caught up from Postgres' && line.reason === reason)
  return upTo(pipeline.partitions).map((id) => told.filter(({ partition }) => partition === id).length)
}

test('ten events behind a backlog in the streams', async () => {
  await send('big', MANY)
  await send('small', FEW)
  expect(await bigOnesBeforeTheSmall()).toBeLessThan(MANY / 2)
  await expectAllOnceInOrder()
  // It stays with Postgres for as long as the backlog lasts, and then goes back.
  expect(returns('behind')).toEqual(upTo(pipeline.partitions).map(() => 1))
}, 120_000)

test('ten events behind a backlog in Postgres', async () => {
  await send('big', MANY)
  await send('small', FEW)
  await markDirty(pipeline.db, upTo(pipeline.partitions))
  expect(await bigOnesBeforeTheSmall()).toBeLessThan(MANY / 2)
  await expectAllOnceInOrder()
  expect(returns('dirty')).toEqual(upTo(pipeline.partitions).map(() => 1))
}, 120_000)
