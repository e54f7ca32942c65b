/** A window of a tenant that sends nothing more: the pipeline writes a tick once nothing can be missing, and not before. */
import { partitionOf } from '@eventflow/core'
import { beatIngest, connect, INGEST_APPLICATION } from '@eventflow/db'
import { defineEvent, Type, UnavailableError } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'

let away = false

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String() }),
  key: ({ key }) => key,
  enrich: [
    { name: 'asks', enrich: async (events) => events.map(() => (away ? new UnavailableError('the source') : {})) },
  ],
})

let pipeline: TestPipeline
/** How often the worker has looked. */
let looks = 0

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_LANES: '1' })
  const query = pipeline.db.query.bind(pipeline.db) as (...given: unknown[]) => Promise<unknown>
  Object.assign(pipeline.db, {
    query: (...given: unknown[]) => {
      if ((given[0] as { name?: string }).name === 'read-pulse') looks++
      return query(...given)
    },
  })
  await pipeline.startWorker()
})

afterEach(() => rows('DELETE FROM consumer_groups'))

afterAll(() => pipeline.stop())

// biome-ignore lint/suspicious/noExplicitAny: each test inspects the rows.
const rows = async (text: string, values: unknown[] = []): Promise<any[]> =>
  (await pipeline.db.query(text, values)).rows
const lookedTwice = async () => {
  const before = looks
  // The one that runs now may have begun before.
  await until('it has looked twice', () => looks >= before + 3)
}

/** A key of the partition. */
const keyOf = (partition: number) =>
  Array.from({ length: 2_000 }, (_, n) => `key ${n}`).find((key) => partitionOf('default', key, 16) === partition)!
const send = (partition: number) => pipeline.send([{ type: 'step.done', data: { key: keyOf(partition) } }])

/** A group with a window of the tenant in the partition that should have been closed a minute ago. */
async function openWindow(partition: number, tenantId = 'default'): Promise<void> {
  await rows(
    `WITH made AS (
       INSERT INTO consumer_groups (tenant_id, name, kind, idle, out_of_orderness)
       VALUES ('operator', gen_random_uuid()::text, 'window', 500000, 0) RETURNING group_id),
     moved AS (INSERT INTO group_cursors (group_id, partition, position) SELECT group_id, $1, 0 FROM made),
     seen AS (
       INSERT INTO group_watermarks (group_id, generation, partition, tenant_id, watermark, last_accepted)
       SELECT group_id, 1, $1, $2, 0, (extract(epoch FROM now()) * 1000000)::bigint FROM made)
     INSERT INTO window_state (group_id, generation, partition, tenant_id, key, start_at, first_open, end_at, close_at, state)
     SELECT group_id, 1, $1, $2, 'k', 0, 0, 1, (extract(epoch FROM now() - interval '1 minute') * 1000000)::bigint, '{}' FROM made`,
    [partition, tenantId],
  )
}

/** The ticks of the partition. */
const ticksOf = (partition: number) =>
  rows(
    `SELECT kind, tenant_id, at - (SELECT max(last_accepted) FROM group_watermarks WHERE partition = $1) >= 500000 AS idle,
            at - seen_since >= 500000 AS seen, at < extract(epoch FROM written_at) * 1000000 - 900000 AS past
     FROM log_marks WHERE partition = $1`,
    [partition],
  )
const hasTick = (partition: number) =>
  until(`partition ${partition} has a tick`, async () => (await ticksOf(partition)).length > 0)
const tick = (tenantId = 'default') => ({ kind: 'tick', tenant_id: tenantId, idle: true, seen: true, past: true })

test('it writes one for the tenant and the partition that wait for it, and only one', async () => {
  await openWindow(1)
  await openWindow(2, 'other')
  await hasTick(1)
  await hasTick(2)
  await openWindow(3)
  await hasTick(3)
  expect(await ticksOf(1)).toEqual([tick()])
  expect(await ticksOf(2)).toEqual([tick('other')])
  expect(await rows('SELECT DISTINCT partition FROM log_marks ORDER BY 1')).toHaveLength(3)
})

test('it writes none while an event of the tenant waits, and then one behind that event', async () => {
  away = true
  await send(4)
  await openWindow(4)
  await openWindow(4, 'other')
  await hasTick(4)
  await openWindow(5)
  await hasTick(5)
  expect(await ticksOf(4)).toEqual([tick('other')])
  away = false
  await until('there are two', async () => (await ticksOf(4)).length === 2)
  const [order] = await rows(
    `SELECT (SELECT position FROM processed_events WHERE partition = 4) <
            (SELECT position FROM log_marks WHERE partition = 4 AND tenant_id = 'default') AS behind`,
  )
  expect(order).toEqual({ behind: true })
})

test('it does not count on what an open transaction may still accept', async () => {
  const ingest = connect({
    url: pipeline.databaseUrl,
    applicationName: INGEST_APPLICATION,
    max: 1,
    onIdleError: () => {},
  })
  const client = await ingest.connect()
  await client.query('BEGIN')
  await openWindow(6)
  await lookedTwice()
  expect(await ticksOf(6)).toEqual([])
  await client.query('ROLLBACK')
  await hasTick(6)
  client.release()
  await ingest.end()
})

test('it writes none while no process of ingest is alive, and counts anew when one is', async () => {
  await pipeline.app.close()
  await lookedTwice()
  await openWindow(7)
  await lookedTwice()
  expect(await ticksOf(7)).toEqual([])
  const [{ now }] = await rows('SELECT (extract(epoch FROM now()) * 1000000)::bigint AS now')
  await until('partition 7 has a tick', async () => {
    await beatIngest(pipeline.db, 'another one')
    return (await ticksOf(7)).length > 0
  })
  expect(await ticksOf(7)).toEqual([tick()])
  expect(await rows('SELECT seen_since >= $1 AS anew FROM log_marks WHERE partition = 7', [now])).toEqual([
    { anew: true },
  ])
})
