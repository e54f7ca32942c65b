/** Parts of the ledger: made ahead of the events, never missed, and never the reason to refuse an event for good. */
import { randomUUID } from 'node:crypto'
import {
  ADVISORY_LOCKS,
  connect,
  type Db,
  isMissingPart,
  makeAhead,
  migrate,
  neededAhead,
  PARTS_AHEAD,
  readReach,
  sqlErrorKind,
  widthOf,
} from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  acceptEvents,
  createDatabase,
  newEvent,
  post,
  startPipeline,
  type TestPipeline,
  until,
} from '@eventflow/testkit'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

const WIDTH = { partEvents: 100, keptDays: 0 }

let empty: string
let url: string
let db: Db

beforeAll(async () => {
  empty = await createDatabase({ migrated: false })
  await migrate(empty, { partitions: 4, partEvents: 100 })
})

beforeEach(async () => {
  url = await createDatabase({ like: empty })
  db = connect({ url, applicationName: 'test', max: 4, onIdleError: () => {} })
})

afterEach(() => db.end())

const newEvents = (count: number) =>
  Array.from({ length: count }, () => newEvent({ partition: Math.floor(Math.random() * 4) }))

/** How many rows each part of a table has, the first part first. */
async function rowsByPart(table: string): Promise<number[]> {
  const { rows } = await db.query(`
    SELECT p.part, (SELECT count(*) FROM ${table} WHERE seq >= p.from_seq AND seq < p.until_seq) AS rows,
           (SELECT count(*) FROM ${table} r WHERE r.tableoid = ('${table}_' || p.part)::regclass) AS own
    FROM ledger_parts p ORDER BY part`)
  for (const row of rows) expect(row.own).toBe(row.rows)
  return rows.map((row) => row.rows)
}

test('a new database has parts ahead of the first event, and one INSERT may fill several', async () => {
  expect(await readReach(db)).toMatchObject({ lastSeq: 0, ahead: PARTS_AHEAD })
  await acceptEvents(db, newEvents(250))
  expect(await rowsByPart('raw_events')).toEqual([100, 100, 50])
  expect(await readReach(db)).toMatchObject({ lastSeq: 250, end: 301, ahead: 0 })
})

test('a seq without a part is trouble of the database, not of the event; nothing of its INSERT is stored', async () => {
  const error = await acceptEvents(db, newEvents(350)).catch((thrown) => thrown)
  expect(isMissingPart(error)).toBe(true)
  expect(sqlErrorKind(error)).toBe('infrastructure')
  const { rows } = await db.query('SELECT (SELECT count(*) FROM raw_events) + (SELECT count(*) FROM event_ids) AS rows')
  expect(rows).toEqual([{ rows: 0 }])
})

test('a constraint of another table says something about the data', async () => {
  await db.query('CREATE TABLE months (month int) PARTITION BY LIST (month); CREATE TABLE small (n int CHECK (n < 10))')
  for (const text of ['INSERT INTO months VALUES (1)', 'INSERT INTO small VALUES (10)']) {
    expect(sqlErrorKind(await db.query(text).catch((thrown) => thrown))).toBe('data')
  }
})

test('parts are made beside each other until enough are ahead, by one process at a time', async () => {
  await acceptEvents(db, newEvents(250))
  const reach = (await readReach(db))!
  const made = await Promise.all([1, 2, 3].map(() => makeAhead(url, reach, WIDTH)))
  expect(made.reduce((sum, one) => sum + one)).toBe(2)
  expect(await readReach(db)).toMatchObject({ ahead: 2, end: 501 })
  await acceptEvents(db, newEvents(240))
  expect(await rowsByPart('raw_events')).toEqual([100, 100, 100, 100, 90])
})

test('making parts waits for no reader and no writer, and blocks none', async () => {
  const reader = await db.connect()
  await reader.query('BEGIN; SELECT count(*) FROM raw_events; SELECT count(*) FROM processed_events')
  const writer = await db.connect()
  await writer.query('BEGIN')
  await acceptEvents(writer as unknown as Db, newEvents(10))
  expect(await makeAhead(url, (await readReach(db))!, WIDTH, 5)).toBe(3)
  for (const client of [reader, writer]) {
    await client.query('COMMIT')
    client.release()
  }
})

test('a part is as wide as the events of a day need, and never narrow', () => {
  const days = fc.integer({ min: 0, max: 3_650 })
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e10 }),
      fc.integer({ min: 0, max: 1e9 }),
      days,
      (lastSeq, perDay, keptDays) => {
        const width = widthOf({ lastSeq, perDay }, { partEvents: 0, keptDays })
        expect(width).toBeGreaterThanOrEqual(1_000_000)
        if (keptDays > 0) expect((perDay * keptDays) / width).toBeLessThanOrEqual(25)
        expect(widthOf({ lastSeq, perDay }, { partEvents: 7, keptDays })).toBe(7)
      },
    ),
  )
})

test('as many parts are needed as the arriving events fill, also where no part is left', () => {
  const seqs = fc.integer({ min: 0, max: 1e9 })
  fc.assert(
    fc.property(
      seqs,
      fc.integer({ min: -1_000, max: 1e6 }),
      fc.integer({ min: 0, max: 30 }),
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      (lastSeq, left, ahead, arriving) => {
        const reach = { lastSeq, end: lastSeq + left, ahead, perDay: 0, newlyOpened: false }
        const needed = neededAhead(reach, WIDTH, arriving)
        expect(needed).toBeGreaterThanOrEqual(PARTS_AHEAD)
        expect(reach.end + (needed - ahead) * WIDTH.partEvents).toBeGreaterThan(lastSeq + arriving)
      },
    ),
  )
  expect(neededAhead({ lastSeq: 100, end: 101, ahead: 0, perDay: 0, newlyOpened: false }, WIDTH, 0)).toBe(PARTS_AHEAD)
  expect(neededAhead({ lastSeq: 95, end: 101, ahead: 0, perDay: 0, newlyOpened: false }, WIDTH, 455)).toBe(5)
})

describe('in a running pipeline', () => {
  let pipeline: TestPipeline
  const type = 'part.filled'

  beforeEach(async () => {
    const settings = { DATABASE_URL: url, EVENTFLOW_PART_EVENTS: '100' }
    pipeline = await startPipeline([defineEvent({ type, schema: Type.Object({ n: Type.Integer() }) })], settings)
  })

  afterEach(() => pipeline.stop())

  const events = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ id: randomUUID(), type, partitionkey: `k${n % 9}`, data: { n } }))

  test('events go from part to part, and each is processed once', async () => {
    await pipeline.startWorker()
    for (let n = 0; n < 10; n++) {
      await until('two parts are ahead', async () => (await readReach(db))!.ahead > 1)
      await pipeline.send(events(180))
    }
    await pipeline.drained()
    expect((await rowsByPart('raw_events')).reduce((sum, rows) => sum + rows)).toBe(1_800)
    expect(await rowsByPart('processed_events')).toEqual(await rowsByPart('raw_events'))
  })

  test('without any worker, ingest makes parts before the last one is full', async () => {
    for (let n = 0; n < 5; n++) {
      await until('a part is ahead', async () => (await readReach(db))!.ahead > 0)
      await pipeline.send(events(90))
    }
    expect((await rowsByPart('raw_events')).slice(0, 5)).toEqual([100, 100, 100, 100, 50])
  })

  test('without a part for them, events are answered 503 until there is one; none is refused for good', async () => {
    const holder = await db.connect()
    await holder.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCKS.parts])
    const sent = events(80)
    const send = () => post(`${pipeline.url}/v1/events/batch`, sent)
    await until('the parts are full', async () => {
      const answer = await post(`${pipeline.url}/v1/events/batch`, events(80))
      return answer.status === 503
    })
    expect((await send()).status).toBe(503)
    await holder.query('SELECT pg_advisory_unlock($1)', [ADVISORY_LOCKS.parts])
    holder.release()
    await until('they are accepted', async () => (await send()).status === 200, 60_000)
    const { rows } = await db.query(
      'SELECT count(*) AS stored FROM raw_events WHERE external_id = ANY($1) OR event_id::text = ANY($1)',
      [sent.map(({ id }) => id)],
    )
    expect(rows).toEqual([{ stored: 80 }])
    await pipeline.startWorker()
    await pipeline.drained()
  }, 120_000)
})
