/** Retention on an installation that had its events in ordinary tables: before, while and after they become parts. */
import {
  connect,
  contract,
  type Db,
  finishExpansion,
  insertRawEvents,
  migrate,
  type ProcessFigures,
  type Retired,
  readDueRetries,
  removeDeadLetters,
  tellFigures,
} from '@eventflow/db'
import { removeOld } from '@eventflow/engine'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  acceptEvents,
  createDatabase,
  type EarlierState,
  type Former,
  migrateAsBeforeParts,
  newEvent,
  sessionsWaiting,
  settleAsBeforeParts,
  startPipeline,
  storeInEachState,
  until,
  whileLocked,
} from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const FIGURES: ProcessFigures = {
  ...{ process: 'ingest-new', service: 'ingest', run: 'run', lastAt: 0, circuits: {}, counts: {} },
  latency: { bounds: [], counts: [] },
}
const PARTITIONS = [0, 1, 2, 3]
const DAYS = 30

let url: string
let old: Db
let db: Db
let former: Former[]

/** All events, and what became of them, are older than retention keeps them. */
beforeEach(async () => {
  url = await createDatabase({ migrated: false })
  await migrateAsBeforeParts(url, PARTITIONS.length)
  old = connect({ url, applicationName: 'earlier', max: 2, onIdleError: () => {} })
  db = connect({ url, applicationName: 'test', max: 4, onIdleError: () => {} })
  former = await storeInEachState(old, 4)
  await old.query(`
    UPDATE raw_events SET accepted_at = now() - interval '50 days';
    UPDATE processed_events SET accepted_at = now() - interval '50 days', processed_at = now() - interval '50 days';
    UPDATE failed_events SET accepted_at = now() - interval '50 days', failed_at = now() - interval '50 days'`)
  await migrate(url, { partitions: PARTITIONS.length })
})

afterEach(() => Promise.all([old.end(), db.end()]))

const inState = (...states: EarlierState[]) => former.filter(({ state }) => states.includes(state))
const idsOf = (events: readonly { id: string }[]) => events.map(({ id }) => id).sort()

/** The events that are stored, by status. */
async function stored(): Promise<Record<string, string[]>> {
  const { rows } = await db.query(
    'SELECT status, array_agg(event_id::text ORDER BY event_id) AS ids FROM events GROUP BY 1',
  )
  return Object.fromEntries(rows.map(({ status, ids }) => [status, ids]))
}

/** Runs a round that keeps dead letters forever. Resolves with what happened to parts. */
async function removeProcessed(): Promise<Retired[]> {
  const told: Retired[] = []
  const rules = { settledDays: DAYS, deadDays: 0, archivedOnly: false }
  await removeOld({ db, url }, rules, new AbortController().signal, { told: (retired) => told.push(retired) })
  return told
}

test('no process removes an event while the ids of events are copied', async () => {
  let expanding: Promise<void> | undefined
  await whileLocked(db, 'raw_events', async () => {
    expanding = finishExpansion(url)
    await until('the expansion waits', async () => (await sessionsWaiting(db)).length === 1)
    expect(await removeDeadLetters(old, DAYS, { after: 0, limit: 10, archivedOnly: false })).toBeUndefined()
  })
  await expanding
})

test('until the tables are in parts, a worker says that retention waits, and removes nothing', async () => {
  await finishExpansion(url)
  const definition = defineEvent({ type: 'test.done', schema: Type.Object({}) })
  const pipeline = await startPipeline([definition], {
    ...{ DATABASE_URL: url, EVENTFLOW_LOG_LEVEL: 'info' },
    ...{ EVENTFLOW_RETENTION_SETTLED_DAYS: `${DAYS}`, EVENTFLOW_RETENTION_DEAD_DAYS: `${DAYS}` },
  })
  try {
    await pipeline.startWorker()
    await until('it says so', () =>
      pipeline.logged.some(({ msg }) => msg === 'retention waits until the tables are converted to parts'),
    )
    await pipeline.drained()
    expect(await stored()).toEqual({
      failed: idsOf(inState('failed')),
      discarded: idsOf(inState('discarded')),
      processed: idsOf(inState('accepted', 'processed', 'replaying', 'retrying', 'blocked')),
    })
  } finally {
    await pipeline.stop()
  }
})

test('the former part is emptied except for what is kept longer, and dropped when nothing is kept any more', async () => {
  await finishExpansion(url)
  // A new result of an old event is young.
  for (const partition of PARTITIONS) {
    const accepted = inState('accepted').filter((event) => event.partition === partition)
    await settleAsBeforeParts(old, accepted, { partition, epoch: 0 })
  }
  await until('the tables are in parts', async () => {
    await tellFigures(db, FIGURES)
    return contract(url, { partEvents: 1_000, silentSeconds: 1 })
  })
  await db.query('UPDATE partitions SET settled_seq = (SELECT max(seq) FROM raw_events)')
  const before = await stored()

  const kept = former.length - inState('processed').length
  expect(await removeProcessed()).toEqual([
    expect.objectContaining({ outcome: 'emptied', events: former.length, kept, unsettled: 0 }),
  ])
  expect(await stored()).toEqual({ ...before, processed: idsOf(inState('accepted')) })
  const due = await readDueRetries(db, PARTITIONS, { held: [], limit: 1_000 })
  expect(idsOf(due.map(({ event }) => event))).toEqual(idsOf(inState('replaying', 'retrying', 'blocked')))
  expect((await insertRawEvents(db, former)).acceptances.size).toBe(0)

  for (const table of ['failed_events', 'retries', 'processed_events', 'raw_events'])
    await db.query(`DELETE FROM ${table}`)
  expect(await removeProcessed()).toEqual([expect.objectContaining({ what: 'dropped' })])
  await acceptEvents(db, [newEvent()])
})
