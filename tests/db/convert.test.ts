/** The conversion of an installation with events into tables in parts, while processes of both versions work. */
import { randomUUID } from 'node:crypto'
import type { AcceptedEvent, Retry } from '@eventflow/core'
import {
  connect,
  contract,
  type Db,
  finishExpansion,
  insertProcessed,
  insertRawEvents,
  migrate,
  type ProcessFigures,
  readDueRetries,
  readStage,
  takePartitions,
  tellFigures,
  upsertRetries,
} from '@eventflow/db'
import {
  acceptEvents,
  createDatabase,
  deliveryOf,
  endWaitingAsBeforeParts,
  type Former,
  findAsBeforeParts,
  findStored,
  insertAsBeforeParts,
  migrateAsBeforeParts,
  newEvent,
  processedOf,
  removeAsBeforeParts,
  retryAsBeforeParts,
  settleAsBeforeParts,
  storeInEachState,
  until,
} from '@eventflow/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

const FIGURES: ProcessFigures = {
  ...{ process: 'ingest-new', service: 'ingest', run: 'run', lastAt: 0, circuits: {}, counts: {} },
  latency: { bounds: [], counts: [] },
}

let url: string
let old: Db
let db: Db
let former: Former[]

beforeEach(async () => {
  url = await createDatabase({ migrated: false })
  await migrateAsBeforeParts(url, 4)
  old = connect({ url, applicationName: 'earlier', max: 2, onIdleError: () => {} })
  // One connection: its prepared statements are used before and after each step.
  db = connect({ url, applicationName: 'test', max: 1, onIdleError: () => {} })
  former = await storeInEachState(old, 12)
})

afterEach(() => Promise.all([old.end(), db.end()]))

const expand = async () => {
  await migrate(url, { partitions: 4 })
  await finishExpansion(url)
}

/** Contracts as the only process, which tells its figures as it would every second. */
const contractAlone = () =>
  until('the tables are in parts', async () => {
    await tellFigures(db, FIGURES)
    return contract(url, { partEvents: 1_000, silentSeconds: 1 })
  })

const statuses = async () =>
  Object.fromEntries((await db.query('SELECT event_id, status FROM events')).rows.map((r) => [r.event_id, r.status]))

const count = async (what: string) => Number((await db.query(`SELECT count(*) AS n FROM ${what}`)).rows[0].n)

const asAccepted = (event: Former): AcceptedEvent => {
  const now = new Date().toISOString()
  return { ...event, acceptedAt: now, occurredAt: now, data: {} }
}

const retryOf = (event: AcceptedEvent, attempts: number): Retry => ({
  kind: 'retry',
  delivery: deliveryOf(event, attempts),
  failure: { component: 'handle', failureType: 'transient', errorClass: 'Away', message: 'away', problems: [] },
  delayMs: 0,
})

/** Every stored event has one id, and each id its event. */
async function expectIdsOfAll(): Promise<void> {
  const ids = await count('event_ids')
  expect(await count('raw_events')).toBe(ids)
  expect(await count('event_ids JOIN raw_events USING (tenant_id, event_id, seq, partition)')).toBe(ids)
}

test('every event keeps its state, and is a duplicate when it is sent again', async () => {
  const before = await statuses()
  await expand()
  expect(await statuses()).toEqual(before)
  expect((await insertRawEvents(db, former)).acceptances.size).toBe(0)
  expect(await readStage(db)).toBe('expanded')

  await contractAlone()
  expect(await readStage(db)).toBe('parts')
  expect(await statuses()).toEqual(before)
  expect((await insertRawEvents(db, former)).acceptances.size).toBe(0)
  const undelivered = [...(await findStored(db, former)).values()].filter((stored) => stored.undelivered)
  expect(undelivered.map(({ event }) => event.id).sort()).toEqual(
    former.flatMap(({ state, id }) => (state === 'accepted' ? [id] : [])).sort(),
  )
  await expectIdsOfAll()
})

test('retries continue', async () => {
  await expand()
  const later = newEvent()
  await insertAsBeforeParts(old, [later])
  await retryAsBeforeParts(old, [later], 1)
  const due = () => readDueRetries(db, [0, 1, 2, 3], { held: [], limit: 1_000 })
  const retrying = former.filter(({ state }) => ['retrying', 'replaying', 'blocked'].includes(state))
  const ids = [...retrying, later].map(({ id }) => id).sort()
  expect((await due()).map(({ event }) => event.id).sort()).toEqual(ids)
  await contractAlone()
  expect((await due()).map(({ event }) => event.id).sort()).toEqual(ids)
})

test('new events follow in a part of their own, without a gap', async () => {
  await expand()
  await insertAsBeforeParts(old, [newEvent()])
  const [last] = (await insertAsBeforeParts(old, [newEvent()])) as [number]
  await contractAlone()
  const [event] = await acceptEvents(db, [newEvent()])
  expect(event!.seq).toBe(last + 1)
  const { rows } = await db.query(
    `SELECT tableoid::regclass::text AS part FROM raw_events WHERE seq >= $1 ORDER BY seq`,
    [last],
  )
  expect(rows.map(({ part }) => part)).toEqual(['raw_events_0', 'raw_events_1'])
})

test('the contraction reads none of the former rows, and builds no index', async () => {
  await expand()
  const before = await filesOfIndexes(db, 'processed_events', 'raw_events')
  const { rows } = await db.query(`SELECT 'processed_events'::regclass::oid AS table`)
  const scans = async () => (await db.query('SELECT pg_stat_get_numscans($1) AS n', [rows[0].table])).rows[0].n
  const scannedBefore = await scans()
  await contractAlone()
  const after = await filesOfIndexes(db, 'processed_events_0', 'raw_events_0')
  expect(after.length).toBe(4)
  expect(before).toEqual(expect.arrayContaining(after))
  expect(await scans()).toBe(scannedBefore)
  expect(await count(`pg_constraint WHERE conname = 'in_part'`)).toBe(0)
})

/** The files of valid indexes: an index that is built again has another one. */
async function filesOfIndexes(db: Db, ...tables: string[]): Promise<number[]> {
  const { rows } = await db.query(
    `SELECT c.relfilenode AS file FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = ANY($1::regclass[]) AND i.indisvalid`,
    [tables],
  )
  return rows.map(({ file }) => file)
}

describe('while both versions work', () => {
  /** Sends random ones of the ids until stopped. Counts how often each was accepted. */
  function startSending(
    ids: readonly string[],
    accepted: Map<string, number>,
    insert: (events: string[]) => Promise<string[]>,
  ) {
    let stopped = false
    const sending = (async () => {
      while (!stopped) {
        const chosen = [...new Set(Array.from({ length: 20 }, () => ids[Math.floor(Math.random() * ids.length)]!))]
        for (const id of await insert(chosen)) accepted.set(id, (accepted.get(id) ?? 0) + 1)
      }
    })()
    return {
      async stop() {
        stopped = true
        await sending
      },
    }
  }

  const eventsOf = (ids: readonly string[]) => ids.map((id) => newEvent({ id, key: 'key' }))

  async function insertEarlier(ids: string[]): Promise<string[]> {
    const seqs = await insertAsBeforeParts(old, eventsOf(ids))
    const found = await findAsBeforeParts(old, eventsOf(ids))
    expect(found.map(({ id }) => id).sort()).toEqual([...ids].sort())
    return found.flatMap(({ id, seq }) => (seqs.includes(seq) ? [id] : []))
  }

  async function insertNew(ids: string[]): Promise<string[]> {
    const { acceptances } = await insertRawEvents(db, eventsOf(ids))
    const found = await findStored(db, eventsOf(ids))
    expect(found.size).toBe(ids.length)
    return [...acceptances.keys()].map(({ id }) => id)
  }

  test('each id is accepted once', async () => {
    const ids = Array.from({ length: 3_000 }, () => randomUUID())
    const accepted = new Map<string, number>()
    const earlier = [startSending(ids, accepted, insertEarlier), startSending(ids, accepted, insertEarlier)]
    await until('some are accepted before', () => accepted.size > 200)
    await migrate(url, { partitions: 4 })
    await finishExpansion(url, { batch: 50 })
    const sent = accepted.size
    const present = startSending(ids, accepted, insertNew)
    await until('both have accepted some', () => accepted.size > sent + 300)
    for (const sending of earlier) await sending.stop()
    const beforeParts = accepted.size
    await contractAlone()
    await until('more are accepted in parts', () => accepted.size > Math.min(ids.length - 1, beforeParts + 200))
    await present.stop()
    expect([...accepted.values()].every((times) => times === 1)).toBe(true)
    expect(await count('raw_events')).toBe(accepted.size + former.length)
    await expectIdsOfAll()
  })

  test('an event is settled by one of them, and stays settled', async () => {
    await expand()
    const events = await acceptEvents(
      db,
      Array.from({ length: 300 }, () => newEvent()),
    )
    const [lease] = await takePartitions(db, 'worker', [0], { reclaim: false, leaseMs: 60_000 })
    const held = { partition: 0, epoch: lease!.epoch, dirty: null }
    const settleNew = async (given: typeof events) => {
      const processed = given.map((event) => processedOf(event))
      return [...(await insertProcessed(db, processed, [held], { workerId: 'worker', processingMs: 1 })).inserted]
    }
    const [earlier, present] = await Promise.all([
      settleAsBeforeParts(old, events.slice(0, 200), held),
      settleNew(events.slice(100)),
    ])
    const seqs = events.map(({ seq }) => seq)
    expect([...earlier, ...present].sort((a, b) => a - b)).toEqual(seqs)
    await contractAlone()
    expect(await settleNew(events)).toEqual([])
    const dead = former.filter(({ state, partition }) => state === 'failed' && partition === 0)
    expect(dead.length).toBeGreaterThan(0)
    expect(await settleNew(dead.map(asAccepted))).toEqual([])
    const replayed = former.filter(({ state, partition }) => state === 'replaying' && partition === 0)
    expect(await settleNew(replayed.map(asAccepted))).toEqual(replayed.map(({ seq }) => seq))
  })

  test('retries of both are one row', async () => {
    await expand()
    const [event] = await acceptEvents(db, [newEvent()])
    await retryAsBeforeParts(old, [event!], 1)
    await upsertRetries(db, [retryOf(event!, 1)], new Date())
    await retryAsBeforeParts(old, [event!], 3)
    const { rows } = await db.query('SELECT seq, attempts FROM retries WHERE event_id = $1', [event!.id])
    expect(rows).toEqual([{ seq: event!.seq, attempts: 3 }])
    await settleAsBeforeParts(old, [event!], { partition: 0, epoch: 0 })
    await endWaitingAsBeforeParts(old, [event!])
    expect(await count(`retries WHERE seq = ${event!.seq}`)).toBe(0)
  })

  test('an id that the earlier version forgets is a new event to both', async () => {
    await expand()
    const [first, second] = former.filter(({ state }) => state === 'processed') as [Former, Former]
    await removeAsBeforeParts(old, [first, second])
    expect(await insertAsBeforeParts(old, [first])).toHaveLength(1)
    expect((await insertRawEvents(db, [second])).acceptances.size).toBe(1)
    await expectIdsOfAll()
  })
})
