/** A database as an earlier version left it: with its tables, and events in every state. */
import { applyMigrations, type Db, migrationsFor, type NewEvent } from '@eventflow/db'
import { newEvent } from './accepted.js'
import {
  insertAsBeforeParts,
  recordWaitingAsBeforeParts,
  retryAsBeforeParts,
  settleAsBeforeParts,
} from './earlier-statements.js'

/** Applies the migrations of the version before the tables were in parts. */
export async function migrateAsBeforeParts(url: string, partitions: number): Promise<void> {
  const earlier = Object.entries(migrationsFor({ partitions })).filter(([name]) => name < '0014')
  await applyMigrations(url, Object.fromEntries(earlier))
}

/** The states in which an event can be. */
export const EARLIER_STATES = [
  'accepted',
  'processed',
  'failed',
  'discarded',
  'replaying',
  'retrying',
  'blocked',
] as const
export type EarlierState = (typeof EARLIER_STATES)[number]

/** A stored event of an earlier version. */
export type Former = NewEvent & { seq: number; state: EarlierState }

/** Stores some events in each state with the statements of the version before the tables were in parts. */
export async function storeInEachState(db: Db, each: number): Promise<Former[]> {
  const events = EARLIER_STATES.flatMap((state) =>
    Array.from({ length: each }, (_, n) => ({ ...newEvent({ partition: n % 4 }), state })),
  )
  const seqs = await insertAsBeforeParts(db, events)
  const former = events.map((event, i) => ({ ...event, seq: seqs[i]! }))
  const of = (...states: EarlierState[]) => former.filter(({ state }) => states.includes(state))
  for (let partition = 0; partition < 4; partition++) {
    const inPartition = (events: Former[]) => events.filter((event) => event.partition === partition)
    await settleAsBeforeParts(db, inPartition(of('processed')), { partition, epoch: 0 })
    await recordWaitingAsBeforeParts(db, { partition, epoch: 0 }, inPartition(of('blocked')))
  }
  await retryAsBeforeParts(db, of('retrying'), 2)
  await retryAsBeforeParts(db, of('replaying'), 0)
  for (const [state, status] of [
    ['failed', 'open'],
    ['discarded', 'discarded'],
    ['replaying', 'replaying'],
  ] as const) {
    await db.query(
      `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class,
                                  message, errors, component, worker_id, attempts, history, correlation_id, accepted_at, status)
       SELECT tenant_id, event_id, seq, type, key, partition, payload, 'permanent', 'Broken', 'is broken', '[]', 'handler',
              'earlier', 1, '[]', correlation_id, accepted_at, $2
       FROM raw_events WHERE event_id = ANY($1)`,
      [of(state).map(({ id }) => id), status],
    )
  }
  return former
}
