/**
 * The plans of the statements that run for every event or every batch, on tables in thirty parts: each finds its rows
 * by an index, and reads no more rows than it needs, with the plan for its values and with the one for any values.
 */
import {
  type AcceptedEvent,
  type Failed,
  type Failure,
  firstDelivery,
  type Processed,
  type Retry,
} from '@eventflow/core'
import {
  connect,
  type Db,
  endWaiting,
  findRawEvents,
  findSettled,
  findSettledIds,
  insertFailed,
  insertProcessed,
  insertRawEvents,
  type Lease,
  makeAhead,
  migrate,
  type Queryable,
  readBuckets,
  readDueRetries,
  readLastSeqs,
  readReach,
  readRetries,
  readUnsettled,
  takePartitions,
  tidyBuckets,
  turnBucket,
  upsertRetries,
  withTransaction,
} from '@eventflow/db'
import { acceptEvents, administer, analyzeAsAutovacuum, createDatabase, newEvent, turnEnds } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { MODES, type Mode, planOf, readWhole, rowsRead } from './plan.js'

/** Seqs of a part. */
const PART = 1_000
/** Parts with events; four more are ahead. */
const PARTS = 28
const PARTITIONS = [0, 1, 2, 3]
/** Events that are not settled, the last ones. */
const OPEN = 2_000

let db: Db
let url: string
let accepted: AcceptedEvent[]
let leases: Lease[]

const by = { workerId: 'w', processingMs: 1, now: new Date() }
const deliveryOf = (event: AcceptedEvent) => firstDelivery(event, '{}', [])
const processed = (events: readonly AcceptedEvent[]): Processed[] =>
  events.map((event) => ({ kind: 'processed', delivery: deliveryOf(event), data: {}, payload: '{}' }))
const failure: Failure = { failureType: 'transient', errorClass: 'E', message: 'm', problems: [], component: 'handle' }
const failed = (events: readonly AcceptedEvent[]): Failed[] =>
  events.map((event) => ({ kind: 'failed', delivery: deliveryOf(event), failure }))
const retries = (events: readonly AcceptedEvent[]): Retry[] =>
  events.map((event) => ({ kind: 'retry', delivery: deliveryOf(event), failure, delayMs: 0 }))
const newEvents = (count: number) =>
  Array.from({ length: count }, (_, n) => newEvent({ partition: PARTITIONS[n % PARTITIONS.length]! }))
/** `count` of these, from all over. */
const some = <T>(all: readonly T[], count: number): T[] =>
  Array.from({ length: count }, (_, n) => all[Math.floor((n * all.length) / count)]!)

beforeAll(async () => {
  url = await createDatabase({ migrated: false })
  await migrate(url, { partitions: PARTITIONS.length, partEvents: PART })
  db = connect({ url, applicationName: 'test', max: 2, onIdleError: () => {} })
  await makeAhead(url, (await readReach(db))!, { partEvents: PART, keptDays: 0 }, PARTS + 3)
  accepted = []
  for (let part = 0; part < PARTS; part++) {
    accepted.push(...(await acceptEvents(db, newEvents(PART))))
    // So all buckets have ids: the current one, the previous one, and that of the ids that are kept.
    if (part === PARTS / 3 || part === (2 * PARTS) / 3 || part % 9 === 8) await turn(url)
  }
  await settle()
  await withoutAutovacuum(url)
  await analyzeAsAutovacuum(url)
}, 120_000)

afterAll(() => db.end())

/**
 * Otherwise it would take notice of the rows that the tests take back, and Postgres of a part that is empty for now.
 */
async function withoutAutovacuum(url: string): Promise<void> {
  const { rows } = await db.query(`
    SELECT inhrelid::regclass::text AS name FROM pg_inherits JOIN pg_class parent ON parent.oid = inhparent
    WHERE parent.relname IN ('raw_events', 'processed_events', 'event_ids') AND parent.relkind = 'p'`)
  await administer(rows.map(({ name }) => `ALTER TABLE ${name} SET (autovacuum_enabled = false)`).join(';'), url)
}

async function turn(url: string): Promise<void> {
  await turnBucket(url, (await readBuckets(db))!)
  await turnEnds(db)
  await tidyBuckets(url)
}

/** Settles all but the last events: of a hundred, one has failed and one waits for a retry. */
async function settle(): Promise<void> {
  const taken = await takePartitions(db, 'w', PARTITIONS, { reclaim: false, leaseMs: 60_000 })
  leases = taken.map((lease) => ({ ...lease, dirty: null }))
  const done = accepted.slice(0, -OPEN)
  for (let from = 0; from < done.length; from += PART) {
    const batch = done.slice(from, from + PART)
    const oneIn100 = (n: number) => batch.filter((_, i) => i % 100 === n)
    await insertProcessed(db, processed(batch.filter((_, i) => i % 100 > 1)), leases, by)
    await withTransaction(db, async (tx) => {
      await insertFailed(tx, failed(oneIn100(0)), by)
      await upsertRetries(tx, retries(oneIn100(1)), by.now)
    })
  }
}

const everyone = { tenantId: undefined, others: [] }
const beyond = (after: number) => PARTITIONS.map((partition) => ({ ...everyone, partition, after, until: 1e15 }))
const settledUpTo = () => accepted.at(-OPEN)!.seq - 1

/** Each statement, and the most rows of any table that it may read. */
const statements: [string, (db: Queryable) => Promise<unknown>, number][] = [
  ['accept new events', (tx) => insertRawEvents(tx, newEvents(200)), 200],
  [
    'accept events again, and new ones',
    (tx) =>
      insertRawEvents(
        tx,
        [...some(accepted, 100), ...newEvents(100)].map((e) => newEvent({ id: e.id, partition: e.partition })),
      ),
    400,
  ],
  ['find events by id', (tx) => findRawEvents(tx, [...some(accepted, 200), ...newEvents(50)]), 250],
  [
    'insert processed events',
    (tx) => insertProcessed(tx, processed(accepted.slice(-OPEN).slice(0, 250)), leases, by),
    250,
  ],
  ['insert processed events again', (tx) => insertProcessed(tx, processed(some(accepted, 250)), leases, by), 250],
  ['insert failed events', (tx) => insertFailed(tx, failed(accepted.slice(-100)), by), 100],
  ['end waiting', (tx) => endWaiting(tx, some(accepted, 200)), 200],
  ['find settled events', (tx) => findSettled(tx, some(accepted, 200)), 200],
  ['find settled ids', (tx) => findSettledIds(tx, [...some(accepted, 200), ...newEvents(50)]), 250],
  [
    'read unsettled events',
    (tx) => readUnsettled(tx, beyond(settledUpTo()), { except: [], limit: 50, bytes: 1e9 }),
    200,
  ],
  [
    'read unsettled events with retries among them',
    (tx) =>
      readUnsettled(tx, beyond(settledUpTo() - 100), {
        except: accepted
          .slice(-OPEN)
          .slice(0, 20)
          .map(({ seq }) => seq),
        limit: 50,
        bytes: 1e9,
      }),
    320,
  ],
  [
    'read unsettled events of one tenant',
    (tx) =>
      readUnsettled(
        tx,
        beyond(settledUpTo()).map((range) => ({ ...range, tenantId: 'default' })),
        { except: [], limit: 50, bytes: 1e9 },
      ),
    200,
  ],
  ['read due retries', (tx) => readDueRetries(tx, PARTITIONS, { held: some(accepted, 50), limit: 100 }), 260],
  ['read retries', (tx) => readRetries(tx, 1, { after: 0, limit: 50 }), 260],
  ['read the last seqs', (tx) => readLastSeqs(tx, PARTITIONS), PARTITIONS.length],
]

describe.each<Mode>(MODES)('with %s, the statement to', (mode) => {
  test.each(statements)('%s', async (_, run, most) => {
    const plan = await planOf(db, run, mode)
    expect(readWhole(plan)).toEqual([])
    expect(Object.entries(rowsRead(plan)).filter(([, rows]) => rows > most)).toEqual([])
  })
})

test('a statement that reads a whole part is detected', async () => {
  const plan = await planOf(
    db,
    (tx) => tx.query({ text: 'SELECT FROM raw_events WHERE key = $1', values: ['k'] }),
    'force_custom_plan',
  )
  expect(readWhole(plan)).toHaveLength(PARTS + 4)
})

test('a pool that plans once does not plan for each set of values', async () => {
  const once = connect({ url, applicationName: 'test', max: 1, plansOnce: true, onIdleError: () => {} })
  try {
    for (let n = 0; n < 8; n++) await insertRawEvents(once, newEvents(4))
    const { rows } = await once.query(`
      SELECT sum(generic_plans)::integer AS generic, sum(custom_plans)::integer AS custom
      FROM pg_prepared_statements WHERE name LIKE 'insert-raw-events%'`)
    // The first one was for other buckets.
    expect(rows).toEqual([{ generic: 9, custom: 0 }])
  } finally {
    await once.end()
  }
})
