/** The buckets of event ids while a worker keeps them: what fails or hangs, and must not lose or repeat an id. */
import {
  ADVISORY_LOCKS,
  connect,
  type Db,
  heartbeat,
  INGEST_APPLICATION,
  insertRawEvents,
  type NewEvent,
  readBuckets,
  removeWorker,
  turnBucket,
} from '@eventflow/db'
import { createLog } from '@eventflow/runtime'
import { administer, createDatabase, newEvent, turnEnds, until, whileCommitsHang } from '@eventflow/testkit'
import { startKeepingBuckets } from '@eventflow/upkeep'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const WORKER = { id: 'worker', host: 'here', pid: 1, run: 'run', leaseMs: 60_000 }
/** Its id is before the other one: while it lives, it keeps the buckets. */
const ANOTHER = { ...WORKER, id: 'another' }

let url: string
let db: Db
/** The worker's pool of one connection: the activity of that one is what the worker does. */
let workerDb: Db
let warnings: string[]
let keeping: ReturnType<typeof startKeepingBuckets> | undefined

beforeEach(async () => {
  url = await createDatabase()
  db = connect({ url, applicationName: INGEST_APPLICATION, max: 8, onIdleError: () => {} })
  workerDb = connect({ url, applicationName: 'worker', max: 1, onIdleError: () => {} })
  warnings = []
})

afterEach(async () => {
  await keeping?.stop()
  await Promise.all([db.end(), workerDb.end()])
})

/** Keeps the buckets as the only worker would, with shorter times. */
async function startKeeping(days: number): Promise<void> {
  await heartbeat(db, WORKER, { takeOver: true })
  const settings = { EVENTFLOW_LOG_LEVEL: 'warn', EVENTFLOW_LOG_BATCHES_PER_SECOND: 0 }
  const log = createLog('test', settings, {}, { write: (line) => warnings.push(line) })
  const times = { everyMs: 20, turnSeconds: 0.1 }
  keeping = startKeepingBuckets({ db: workerDb, url, workerId: WORKER.id, days, log, ...times })
}

const aRoundFails = () => until('a round has failed', () => warnings.length > 0)

const isNew = async (event: NewEvent) => (await insertRawEvents(db, [event])).acceptances.has(event)

/** As a worker that dies before it tidies the buckets. */
async function turn(): Promise<void> {
  await turnBucket(url, (await readBuckets(db))!)
  await turnEnds(db)
}

/** The window of deduplication has passed. */
const age = () => db.query(`UPDATE ledger SET turned_at = now() - interval '2 days'`)

const turned = (to: number) =>
  until(`bucket ${to} is the current one, and no other`, async () => {
    const { current, turning } = (await readBuckets(db))!
    return current === to && !turning
  })

async function tables(): Promise<string[]> {
  const { rows } = await db.query(`SELECT relname FROM pg_class WHERE relname ~ '^event_ids_[0-9]+$' ORDER BY oid`)
  return rows.map((row) => row.relname)
}

/** When the statements began that sessions of this database run, or ran last, if they fulfil an SQL condition. */
async function statements(condition: string): Promise<string[]> {
  const { rows } = await db.query(
    `SELECT query_start::text AS at FROM pg_stat_activity WHERE datname = current_database() AND ${condition}`,
  )
  return rows.map((row) => row.at)
}

const workerRuns = (condition: string) =>
  until(`the worker runs: ${condition}`, async () => {
    return (await statements(`application_name = 'worker' AND ${condition}`)).length > 0
  })

/** Resolves when so many statements of these sessions hang in their COMMIT, or wait for a transaction that does. */
const hang = (application: string, count: number) =>
  until(`${count} of ${application} hang`, async () => {
    const waiting = `application_name = '${application}' AND wait_event IN ('PgSleep', 'transactionid')`
    return (await statements(waiting)).length === count
  })

const now = async () => (await db.query('SELECT clock_timestamp()::text AS now')).rows[0].now

test('an old bucket that could not be dropped, because it was in use, is dropped by a later round', async () => {
  for (let n = 0; n < 2; n++) await turn()
  const reader = await db.connect()
  try {
    await reader.query('BEGIN; SELECT FROM event_ids')
    await startKeeping(0)
    await aRoundFails()
    expect(await tables()).toContain('event_ids_1')
  } finally {
    await reader.query('ROLLBACK')
    reader.release()
  }
  await until('it is dropped', async () => !(await tables()).includes('event_ids_1'))
  expect(await tables()).toEqual(['event_ids_2', 'event_ids_3', 'event_ids_4'])
})

test('buckets are tidied later if another process works on them now', async () => {
  for (let n = 0; n < 2; n++) await turn()
  const other = await db.connect()
  try {
    await other.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCKS.buckets])
    await startKeeping(0)
    const begun = new Set<string>()
    await until('a round has passed', async () => {
      for (const at of await statements(`application_name = 'worker' AND query ~ 'turned_at'`)) begun.add(at)
      return begun.size > 1
    })
    expect(await tables()).toContain('event_ids_1')
  } finally {
    other.release(true)
  }
  await until('the old bucket is dropped', async () => !(await tables()).includes('event_ids_1'))
})

test('buckets are also tidied after turns that another worker made and ended', async () => {
  for (let n = 0; n < 2; n++) await turn()
  await startKeeping(0)
  await until('they are tidied', async () => !(await tables()).includes('event_ids_1'))
  await heartbeat(db, ANOTHER, { takeOver: true })
  await workerRuns(`query ~ 'FROM workers' AND query_start > '${await now()}'`)
  for (let n = 0; n < 2; n++) await turn()
  await removeWorker(db, ANOTHER)
  await until('the old bucket is dropped', async () => !(await tables()).includes('event_ids_2'))
})

test('the buckets turn only when the ids that are kept are copied; a failed copy is made by a later round', async () => {
  const event = newEvent()
  await isNew(event)
  await turn()
  await administer(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space left'; END $$;
     CREATE TRIGGER refuse BEFORE INSERT ON event_ids_kept FOR EACH ROW EXECUTE FUNCTION refuse()`,
    url,
  )
  await age()
  await startKeeping(1)
  await aRoundFails()
  expect(await readBuckets(db)).toMatchObject({ current: 2, turning: false })
  await administer('DROP TRIGGER refuse ON event_ids_kept', url)
  await turned(3)
  expect(await isNew(event)).toBe(false)
})

/** The worker sees the turn to bucket 2 begin, but another one becomes the first of the living, and ends it. */
async function seeTurnOfAnother(): Promise<void> {
  const before = await db.connect()
  await before.query('BEGIN; SELECT')
  await turnBucket(url, (await readBuckets(db))!)
  await startKeeping(0)
  await workerRuns(`query ~ 'SET turning'`)
  await heartbeat(db, ANOTHER, { takeOver: true })
  await workerRuns(`query ~ 'FROM workers' AND query_start > '${await now()}'`)
  await before.query('COMMIT')
  before.release()
  await turnEnds(db)
}

test('an id is accepted once, though its INSERT began before others saw the turn, and hangs in its COMMIT', async () => {
  await seeTurnOfAnother()
  const event = newEvent()
  const accepted: Promise<boolean>[] = []
  await whileCommitsHang({ db, url }, 'INSERT ON raw_events', async () => {
    let turning: Promise<void> | undefined
    await whileCommitsHang({ db, url }, 'UPDATE OF bucket ON ledger', async () => {
      turning = turnBucket(url, (await readBuckets(db))!)
      await hang('eventflow-upkeep', 1)
      accepted.push(isNew(event))
      await hang(INGEST_APPLICATION, 1)
    })
    await turning
    await removeWorker(db, ANOTHER)
    await workerRuns(`query_start > '${await now()}'::timestamptz + interval '1 second'`)
    accepted.push(isNew(event))
    await hang(INGEST_APPLICATION, 2)
  })
  expect(await Promise.all(accepted)).toEqual([true, false])
  await turned(3)
  expect(await isNew(event)).toBe(false)
})
