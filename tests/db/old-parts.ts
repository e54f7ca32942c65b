/** A ledger in narrow parts with events of any age, for the tests of retention. */
import {
  connect,
  type Db,
  insertProcessed,
  type Lease,
  makeAhead,
  migrate,
  type Retired,
  readReach,
} from '@eventflow/db'
import { removeOld } from '@eventflow/engine'
import { administer, createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach } from '@jest/globals'

/** The seqs of a part. */
export const WIDTH = 5

export let url: string
export let db: Db
/** The first seq of the test: the parts of earlier tests are below it. */
export let base: number

/** Gives each test of a file a ledger of its own, in one database. */
export function useLedger(): void {
  beforeAll(async () => {
    url = await createDatabase({ migrated: false })
    await migrate(url, { partitions: 3, partEvents: WIDTH })
    db = connect({ url, applicationName: 'test', max: 5, onIdleError: () => {} })
  })
  beforeEach(clear)
  afterAll(() => db.end())
}

/** Begins above all parts, which are left empty for retention to drop. */
export async function clear() {
  await administer(
    `TRUNCATE raw_events, processed_events, failed_events, retries, event_ids;
     UPDATE ledger_parts SET emptied_at = now(), looked_at = now() WHERE dropped_at IS NULL`,
    url,
  )
  base = (await readReach(db))!.end
  await assignUpTo(0)
  await db.query('UPDATE partitions SET settled_seq = $1', [base - 1])
}

/** All seqs of the test up to the `n`th are assigned, and there are parts for more. */
async function assignUpTo(n: number) {
  await administer(`SELECT setval('event_seq', ${base + n - 1})`, url)
  await makeAhead(url, (await readReach(db))!, { partEvents: WIDTH, keptDays: 0 }, 4)
}

/**
 * An event as stored in the tables; `seq` counts from 1 in each test, ages in days. A missing field has not happened.
 */
export interface Stored {
  seq: number
  partition: number
  accepted: number
  processed?: number
  failed?: { age: number; status: 'open' | 'replaying' | 'replayed' | 'discarded'; resolved?: number }
  waits?: boolean
}

export const idOf = (seq: number) => `00000000-0000-7000-8000-${String(seq).padStart(12, '0')}`
const ago = (days: number | undefined) =>
  days === undefined ? null : new Date(Date.now() - days * 86_400_000 - 1_000).toISOString()

/**
 * `settled`: up to which event everything is settled, of each partition. Unless `last` says so, seqs end with the last
 * event.
 */
export async function store(
  events: readonly Stored[],
  settled: Record<number, number>,
  last = events.at(-1)?.seq ?? 0,
) {
  await assignUpTo(last)
  for (const { seq, partition, accepted, processed, failed, waits } of events) {
    const event = [idOf(seq), base - 1 + seq, partition, ago(accepted)]
    await db.query(
      `INSERT INTO raw_events (tenant_id, event_id, seq, type, source, key, partition, occurred_at, accepted_at,
                               correlation_id, payload)
       VALUES ('default', $1, $2, 't', '/', 'k', $3, $4, $4, 'c', '{}')`,
      event,
    )
    if (processed !== undefined) {
      await db.query(
        `INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id,
                                       correlation_id, accepted_at, processed_at, processing_ms)
         VALUES ('default', $1, $2, 't', 'k', $3, '{}', 1, 'w', 'c', $4, $5, 1)`,
        [...event, ago(processed)],
      )
    }
    if (failed) {
      await db.query(
        `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class,
                                    message, errors, component, worker_id, attempts, history, correlation_id, accepted_at,
                                    failed_at, status, resolved_at)
         VALUES ('default', $1, $2, 't', 'k', $3, '{}', 'permanent', 'E', 'm', '[]', 'handle', 'w', 1, '[]', 'c', $4,
                 $5, $6, $7)`,
        [...event, ago(failed.age), failed.status, ago(failed.resolved)],
      )
    }
    if (waits) {
      await db.query(
        `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
         VALUES ('default', $1, $2, $3, 1, now())`,
        [idOf(seq), base - 1 + seq, partition],
      )
    }
  }
  for (const [partition, seq] of Object.entries(settled)) {
    await db.query('UPDATE partitions SET settled_seq = $2 WHERE id = $1', [partition, base - 1 + seq])
  }
}

const seqsIn = async (table: string) =>
  (await db.query(`SELECT seq FROM ${table} ORDER BY seq`)).rows.map((row) => row.seq - base + 1)

export const tables = async () => ({
  raw: await seqsIn('raw_events'),
  processed: await seqsIn('processed_events'),
  failed: await seqsIn('failed_events'),
})

/** The parts of the test that exist, as `first-last` event. */
export async function parts(): Promise<string[]> {
  const { rows } = await db.query(
    `SELECT (SELECT relname FROM pg_class WHERE oid = inhrelid) AS leaf, p.from_seq, p.until_seq FROM pg_inherits
     JOIN ledger_parts p ON 'raw_events_' || p.part = (SELECT relname FROM pg_class WHERE oid = inhrelid)
     WHERE inhparent = 'raw_events'::regclass AND p.dropped_at IS NULL AND p.until_seq > $1 ORDER BY from_seq`,
    [base],
  )
  return rows.map((row) => `${row.from_seq - base + 1}-${row.until_seq - base}`)
}

export const firstSeq = async () => (await db.query('SELECT first_seq FROM ledger')).rows[0].first_seq - base + 1

const never = new AbortController().signal

/** Runs a round, and returns what happened to the parts of the test. */
export async function round({
  settledDays = 0,
  deadDays = 0,
  archivedOnly = false,
  stopped = false,
  chunk = 1_000,
} = {}) {
  const told: string[] = []
  const tell = (retired: Retired) => {
    if (retired.part.until <= base) return
    const outcome = retired.what === 'emptied' ? retired.outcome : retired.what
    told.push(`${retired.part.from - base + 1}-${retired.part.until - base}: ${outcome}`)
  }
  const rules = { settledDays, deadDays, archivedOnly }
  const letters = await removeOld({ db, url }, rules, stopped ? AbortSignal.abort() : never, {
    told: tell,
    chunk,
    pauseMs: 50,
  })
  return { letters, told }
}

export const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** Events that were processed long ago. */
export const old = (first: number, last: number): Stored[] =>
  range(first, last).map((seq) => ({ seq, partition: seq % 3, accepted: LONG_AGO, processed: LONG_AGO }))

export const LONG_AGO = 50
export const ALL = { 0: 1_000, 1: 1_000, 2: 1_000 }

/** Settles an event of partition 0 as its owner would. */
export async function settle(seq: number) {
  await db.query(
    `UPDATE partitions SET owner = 'w', epoch = epoch + 1, lease_expires_at = now() + interval '1 hour' WHERE id = 0`,
  )
  const { rows } = await db.query('SELECT epoch FROM partitions WHERE id = 0')
  const lease: Lease = { partition: 0, epoch: rows[0].epoch, dirty: null }
  const event = {
    ...{ tenantId: 'default', id: idOf(seq), seq: base - 1 + seq, partition: 0, type: 't', source: '/', key: 'k' },
    ...{ correlationId: 'c', acceptedAt: ago(LONG_AGO)!, occurredAt: ago(LONG_AGO)!, payload: '{}' },
  }
  const delivery = { event, attempts: 1, history: [], crashes: 0, payload: '{}' }
  return insertProcessed(db, [{ delivery, payload: '{}' } as never], [lease], { workerId: 'w', processingMs: 1 })
}
