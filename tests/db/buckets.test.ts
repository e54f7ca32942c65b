/** Buckets of event ids: an id is known for one to two windows, and as long as its event is kept. */
import { randomUUID } from 'node:crypto'
import { identityOf } from '@eventflow/core'
import {
  connect,
  type Db,
  endTurn,
  findRawEvents,
  forgetKept,
  INGEST_APPLICATION,
  insertRawEvents,
  listEvents,
  makeAhead,
  type NewEvent,
  readBuckets,
  readReach,
  tidyBuckets,
  turnBucket,
} from '@eventflow/db'
import { createDatabase, newEvent, turnEnds, until, whileHeldUp } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

let url: string
let db: Db

beforeEach(async () => {
  url = await createDatabase()
  db = connect({ url, applicationName: INGEST_APPLICATION, max: 8, onIdleError: () => {} })
})

afterEach(() => db.end())

const isNew = async (event: NewEvent) => (await insertRawEvents(db, [event])).acceptances.has(event)

async function turn(): Promise<void> {
  await turnBucket(url, (await readBuckets(db))!)
  await turnEnds(db)
  await tidyBuckets(url)
}

/** As retention does when it drops the part. */
const remove = (event: NewEvent) => db.query('DELETE FROM raw_events WHERE event_id = $1', [event.id])

async function tables(): Promise<string[]> {
  const { rows } = await db.query(
    `SELECT relname FROM pg_class WHERE relname ~ '^event_ids_([0-9]+|kept)$' ORDER BY oid`,
  )
  return rows.map((row) => row.relname)
}

test('an id is known in its bucket and in the next one, and then forgotten if its event was removed', async () => {
  const event = newEvent()
  expect(await isNew(event)).toBe(true)
  await remove(event)
  expect(await isNew(event)).toBe(false)
  expect((await findRawEvents(db, [event])).get(identityOf(event))).toBe('removed')
  await turn()
  expect(await isNew(event)).toBe(false)
  await turn()
  expect(await tables()).toEqual(['event_ids_kept', 'event_ids_2', 'event_ids_3', 'event_ids_4'])
  expect(await isNew(event)).toBe(true)
})

test('the id of an event that still exists is known in every later bucket, until the event is removed', async () => {
  const event = newEvent()
  await isNew(event)
  for (let n = 0; n < 4; n++) {
    await turn()
    expect(await isNew(event)).toBe(false)
    expect((await findRawEvents(db, [event])).get(identityOf(event))).toMatchObject({ event: { id: event.id } })
  }
  await remove(event)
  expect(await forgetKept(db)).toBe(1)
  expect(await forgetKept(db)).toBe(0)
  expect(await isNew(event)).toBe(true)
})

test('claims are planned for the number of kept ids: they are counted at each turn', async () => {
  const rows = async () =>
    (await db.query(`SELECT reltuples::integer AS rows FROM pg_class WHERE relname = 'event_ids_kept'`)).rows[0].rows
  expect(await rows()).toBe(-1)
  const events = Array.from({ length: 50 }, () => newEvent())
  await insertRawEvents(db, events)
  await turn()
  await turn()
  expect(await rows()).toBe(50)
})

test('all kept ids of removed events are forgotten, however many statements that takes', async () => {
  const events = Array.from({ length: 25 }, () => newEvent())
  await insertRawEvents(db, events)
  for (let n = 0; n < 2; n++) await turn()
  const gone = events.filter((_, n) => n % 5 > 0)
  for (const event of gone) await remove(event)
  expect(await forgetKept(db, 3)).toBe(gone.length)
  const { rows } = await db.query('SELECT event_id FROM event_ids')
  expect(rows.map((row) => row.event_id).sort()).toEqual(
    events
      .filter((event) => !gone.includes(event))
      .map(({ id }) => id)
      .sort(),
  )
})

test('parts are made while the ids that are kept are copied', async () => {
  await isNew(newEvent())
  await turn()
  const seen = (await readBuckets(db))!
  const held = { db, url, table: 'event_ids_kept', statement: 'INSERT INTO event_ids' } as const
  await whileHeldUp(
    held,
    () => turnBucket(url, seen),
    async () => {
      const reach = (await readReach(db))!
      expect(await makeAhead(url, reach, { partEvents: 10, keptDays: 0 }, reach.ahead + 1)).toBe(1)
    },
  )
})

test('a page has all its events, also those whose ids are in several buckets', async () => {
  await turnBucket(url, (await readBuckets(db))!)
  const events = [newEvent(), newEvent()]
  await insertRawEvents(db, events)
  const ids = events.map(({ id }) => id)
  const { rows } = await listEvents(db, { tenantId: events[0]!.tenantId, ids }, { before: undefined, limit: 2 })
  expect(rows).toHaveLength(2)
})

test('a turn that another process has made meanwhile is not made again', async () => {
  const seen = (await readBuckets(db))!
  await turnBucket(url, seen)
  await turnBucket(url, seen)
  expect(await readBuckets(db)).toMatchObject({ current: 2, previous: 1, turning: true })
})

test('a turn ends also before the first event', async () => {
  await turn()
  expect(await readBuckets(db)).toMatchObject({ current: 2, previous: 1, turning: false })
})

test('a turn does not end while a statement runs that began before it', async () => {
  const event = newEvent()
  const before = await db.connect()
  await before.query('BEGIN')
  // It has the buckets of its beginning for as long as it runs.
  await before.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM ledger')
  await turnBucket(url, (await readBuckets(db))!)
  const { readAt } = (await readBuckets(db))!
  expect(await endTurn(db, readAt, 0)).toBe(false)
  expect((await insertRawEvents(before, [event])).acceptances.size).toBe(1)
  const meanwhile = insertRawEvents(db, [event])
  await before.query('COMMIT')
  before.release()
  expect((await meanwhile).acceptances.size).toBe(0)
  await turnEnds(db)
  expect(await isNew(event)).toBe(false)
})

test('the same ids, sent at once and all the time while buckets turn, are each accepted once', async () => {
  const wins = new Map<string, number>()
  let [stopped, sent] = [false, 0]
  let ids = Array.from({ length: 20 }, () => randomUUID())
  const send = async () => {
    while (!stopped) {
      const events = ids.map((id) => newEvent({ id }))
      const { acceptances } = await insertRawEvents(db, events)
      sent += events.length
      for (const { id } of acceptances.keys()) wins.set(id, (wins.get(id) ?? 0) + 1)
    }
  }
  const senders = Array.from({ length: 5 }, send)
  const fresh = async () => {
    while (!stopped) {
      ids = Array.from({ length: 20 }, () => randomUUID())
      await db.query('SELECT')
    }
  }
  const renewing = fresh()
  for (let n = 0; n < 10; n++) await turn()
  await until('10,000 ids were sent', async () => sent > 10_000)
  stopped = true
  await Promise.all([...senders, renewing])
  expect(new Set(wins.values())).toEqual(new Set([1]))
  const { rows } = await db.query('SELECT count(*) AS events, count(DISTINCT event_id) AS ids FROM raw_events')
  expect(rows[0]).toEqual({ events: wins.size, ids: wins.size })
}, 60_000)
