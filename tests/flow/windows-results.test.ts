/** Results of windows: emitted events, the definition's function, new versions, resets. */
import { DEFAULT_RETRY_POLICY } from '@eventflow/core'
import { tumbling, UnavailableError, type WindowDefinition } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'
import { whileHeld } from './versions.fixture.js'
import {
  at,
  counted,
  lateEvents,
  measured,
  resultsOf,
  timeAt,
  untilRead,
  untilResults,
  windowOf,
} from './windows.fixture.js'

const pipelines: TestPipeline[] = []

afterEach(async () => {
  for (const pipeline of pipelines.splice(0).reverse()) await pipeline.stop()
})

async function start(window: WindowDefinition, settings: Record<string, string> = {}): Promise<TestPipeline> {
  const pipeline = await startPipeline([measured, counted], settings, [window])
  pipelines.push(pipeline)
  await pipeline.startWorker()
  return pipeline
}

const emittedBy = async ({ db }: TestPipeline) =>
  (
    await db.query(
      `SELECT event_id, key, occurred_at, source, payload FROM raw_events WHERE type = 'counted' ORDER BY seq`,
    )
  ).rows

test('a result is emitted as an event at the end of its window, and processed', async () => {
  const pipeline = await start(windowOf({ emit: 'counted' }))
  await pipeline.send([at(1), at(2), at(15), at(30)])
  await untilResults(pipeline, 2)
  const emitted = await emittedBy(pipeline)
  expect(emitted).toEqual([
    {
      event_id: expect.any(String),
      key: 'k',
      occurred_at: new Date(timeAt(10)),
      source: '/groups/w',
      payload: { key: 'k', start: timeAt(0), end: timeAt(10), n: 2 },
    },
    expect.objectContaining({ payload: { key: 'k', start: timeAt(10), end: timeAt(20), n: 1 } }),
  ])
  await untilRead(pipeline)
})

test("the definition's function gets each result once, in the transaction that closes the window", async () => {
  let failures = 2
  const pipeline = await start(
    windowOf({
      prepare: async (tx) => void (await tx.query('CREATE TABLE IF NOT EXISTS told (what jsonb)')),
      onResult: async (result, tx) => {
        await tx.query('INSERT INTO told VALUES ($1)', [JSON.stringify(result)])
        if (failures-- > 0) throw new Error('not yet')
      },
    }),
  )
  await pipeline.send([at(1), at(2), at(15)])
  await untilResults(pipeline, 1)
  expect((await pipeline.db.query('SELECT what FROM told')).rows).toEqual([
    { what: { tenantId: 'default', key: 'k', start: timeAt(0), end: timeAt(10), n: 2 } },
  ])
})

test('while what the function needs is unavailable, no attempt is charged', async () => {
  let failures = DEFAULT_RETRY_POLICY.attempts + 1
  const pipeline = await start(
    windowOf({
      onResult: async () => {
        if (failures-- > 0) throw new UnavailableError('the source')
      },
    }),
  )
  await pipeline.send([at(1), at(15)])
  await untilResults(pipeline, 1)
  expect(failures).toBe(-1)
})

test('as long as a window cannot close, no later entries are read', async () => {
  const pipeline = await start(windowOf())
  const { db } = pipeline
  const counts = async () =>
    (await db.query('SELECT state FROM window_state ORDER BY start_at')).rows.map(({ state }) => state.n)
  /** When the group began to wait for the lock; undefined while it does not wait. */
  const waitingSince = async () => {
    const { rows } = await db.query(
      `SELECT query_start::text AS since FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INTO window_results%'`,
    )
    return rows[0]?.since as string | undefined
  }
  await whileHeld(pipeline, 'LOCK window_results IN EXCLUSIVE MODE', async () => {
    await pipeline.send([at(1), at(15)])
    await until('it tries to close', async () => (await waitingSince()) !== undefined)
    const first = await waitingSince()
    await pipeline.send([at(16)])
    await until('it has failed and tries again', async () => ![undefined, first].includes(await waitingSince()))
    expect((await db.query('SELECT count(*)::int AS events FROM processed_events')).rows[0].events).toBe(3)
    expect(await counts()).toEqual([1, 1])
  })
  await untilResults(pipeline, 1)
  await untilRead(pipeline)
  expect(await counts()).toEqual([2])
}, 60_000)

test('a group pauses at a result that cannot be made, and says which', async () => {
  const pipeline = await start(windowOf({ emit: 'counted', aggregate: { m: windowOf().aggregate.n! } }))
  await pipeline.send([at(1), at(15)])
  const reason = async () => (await pipeline.db.query('SELECT paused_for FROM consumer_groups')).rows[0].paused_for
  await until('it is paused', async () => (await reason()) !== null)
  expect(await reason()).toMatch(
    /^a result cannot be made: PermanentError: the window of key "k" from 2026-01-01T10:00:00.000Z to 2026-01-01T10:00:10.000Z: the emitted event of type 'counted' does not fit the schema/,
  )
  expect(await resultsOf(pipeline)).toEqual([])
})

test('late events become dead letters if the definition says so', async () => {
  const pipeline = await start(windowOf({ late: 'dead-letter' }))
  await pipeline.send([at(1), at(15), at(2)])
  await untilRead(pipeline)
  expect((await pipeline.db.query('SELECT error_class, message FROM group_dead_letters')).rows).toEqual([
    {
      error_class: 'LateEvent',
      message: `it happened at ${timeAt(2)}, and came after the watermark had reached ${timeAt(15)}`,
    },
  ])
  expect(await lateEvents(pipeline)).toEqual([])
})

test('a changed definition needs a new version, which builds everything anew and emits nothing twice', async () => {
  const first = await start(windowOf({ emit: 'counted' }))
  await first.send([at(1), at(2), at(12), at(15), at(26), at(3)])
  await untilResults(first, 2)
  await untilRead(first)
  const emitted = (await emittedBy(first)).length
  const settings = { DATABASE_URL: first.databaseUrl }
  await expect(start(windowOf({ emit: 'counted', window: tumbling('20s') }), settings)).rejects.toThrow(
    "the definition of the window 'w' has changed, and what was counted so far does not fit it: raise its version (1 now)",
  )
  const second = await start(windowOf({ emit: 'counted', window: tumbling('20s'), version: 2 }), settings)
  await until('the new generation is shown', async () => {
    return (await second.db.query('SELECT generation FROM consumer_groups')).rows[0].generation === 2
  })
  expect(await resultsOf(second)).toEqual([[0, 20, { n: 4 }]])
  expect(await lateEvents(second)).toEqual([[3, 26]])
  expect(await emittedBy(second)).toHaveLength(emitted)
  await second.send([at(45)])
  await until('the next window is emitted', async () => (await emittedBy(second)).length > emitted)
  expect(await resultsOf(second)).toEqual([
    [0, 20, { n: 4 }],
    [20, 40, { n: 1 }],
  ])
  const { rows } = await second.db.query(
    'SELECT DISTINCT generation FROM group_cursors UNION SELECT generation FROM window_results',
  )
  expect(rows).toEqual([{ generation: 2 }])
})
