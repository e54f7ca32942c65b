/** `retries`: the events that await another attempt. Usually empty. */
import type { Attempt, Delivery, RawEvent } from '@eventflow/core'
import type { Queryable } from '../server/connect.js'
import { bigintColumn } from './columns.js'
import { EVENT_OF } from './event-ids.js'
import { RAW_EVENT_COLUMNS, rawEventOf } from './raw-events.js'
import type { Lease } from './settle.js'

export interface WaitingRetry {
  event: RawEvent
  attempts: number
  history: Attempt[]
  crashes: number
  /** The schema version that a replay asked for. */
  schemaVersion?: number
  /** It was processed before, and keeps its place in the log. */
  inLog?: boolean
  /** Milliseconds until it is due, by the database's clock; negative if overdue. */
  dueInMs: number
}

const COLUMNS = `${RAW_EVENT_COLUMNS}, w.attempts, w.history, w.crashes, w.schema_version,
         (SELECT true FROM log_replaying l WHERE l.seq = w.seq) AS in_log,
         (extract(epoch FROM w.due_at - now()) * 1000)::float8 AS due_in_ms`

/** Resolves with the retries of a partition, in the order of acceptance: at most `limit`, with a seq above `after`. */
export async function readRetries(
  db: Queryable,
  partition: number,
  { after, limit }: { after: number; limit: number },
): Promise<WaitingRetry[]> {
  const { rows } = await db.query({
    name: 'read-retries',
    text: `
      SELECT ${COLUMNS}
      FROM retries w CROSS JOIN ${EVENT_OF('w')} r
      WHERE w.partition = $1 AND w.seq > $2 ORDER BY w.seq LIMIT $3`,
    values: [partition, after, limit],
  })
  return rows.map(retryOf)
}

/**
 * Resolves with the due retries of these partitions that are not among `held`: another process has added them. At most
 * `limit`, in the order in which they are due. The table is usually empty, so this is cheap.
 */
export async function readDueRetries(
  db: Queryable,
  partitions: readonly number[],
  { held, limit }: { held: readonly { seq: number }[]; limit: number },
): Promise<WaitingRetry[]> {
  const { rows } = await db.query({
    name: 'read-due-retries',
    text: `
      SELECT ${COLUMNS}
      FROM (SELECT * FROM retries w
            WHERE w.partition = ANY($1::smallint[]) AND w.due_at <= now()
              AND w.seq NOT IN (SELECT unnest($2::bigint[]))
            ORDER BY w.due_at LIMIT $3) w
      CROSS JOIN ${EVENT_OF('w')} r ORDER BY w.due_at`,
    values: [partitions, bigintColumn(held.map((e) => e.seq)), limit],
  })
  return rows.map(retryOf)
}

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns above.
function retryOf(row: any): WaitingRetry {
  return {
    event: rawEventOf(row),
    attempts: row.attempts,
    history: row.history,
    crashes: row.crashes,
    ...(row.schema_version !== null && { schemaVersion: row.schema_version }),
    ...(row.in_log && { inLog: true }),
    dueInMs: row.due_in_ms,
  }
}

/**
 * Records events that are blocked behind another of their key and are in no stream, so that the next owner finds them.
 * One statement checks the epoch and writes. Resolves with false, with nothing written, if the epoch has ended.
 */
export async function recordWaiting(
  db: Queryable,
  { partition, epoch }: { partition: number; epoch: number },
  events: readonly { tenantId: string; id: string; seq: number }[],
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record-waiting',
    text: `
      WITH owned AS (SELECT id FROM partitions WHERE id = $1 AND epoch = $2 FOR SHARE), written AS (
        INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
        SELECT tenant_id, event_id, seq, id, 0, now()
        FROM owned, unnest($3::text[], $4::uuid[], $5::bigint[]) AS waiting(tenant_id, event_id, seq)
        ON CONFLICT DO NOTHING)
      SELECT FROM owned`,
    values: [partition, epoch, events.map((e) => e.tenantId), events.map((e) => e.id), events.map((e) => e.seq)],
  })
  return rowCount === 1
}

/**
 * Records that these events of a partition are about to be processed separately, because a worker died while processing
 * them. Each has the crash count that it will have if this worker dies, too. It must be committed before processing
 * begins. Resolves with false, with nothing written, if the lease does not hold. With a dirty mark, an earlier event of
 * a key may be in no stream and not in `retries`, and these events would overtake it.
 */
export async function recordSuspects(
  db: Queryable,
  suspects: readonly Delivery[],
  { partition, epoch, dirty }: Lease,
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record-suspects',
    text: `
      WITH held AS (
        SELECT id FROM partitions JOIN partition_marks USING (id)
        WHERE id = $1 AND epoch = $2 AND ($3::bigint IS NULL OR dirty = $3) FOR SHARE OF partitions), written AS (
        INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, crashes)
        SELECT tenant_id, event_id, seq, id, attempts, now(), crashes
        FROM held, unnest($4::text[], $5::uuid[], $6::smallint[], $7::smallint[], $8::bigint[])
                     AS suspect(tenant_id, event_id, attempts, crashes, seq)
        ON CONFLICT (seq) DO UPDATE SET crashes = excluded.crashes)
      SELECT FROM held`,
    values: [
      ...[partition, epoch, dirty],
      ...[suspects.map(({ event }) => event.tenantId), suspects.map(({ event }) => event.id)],
      ...[suspects.map(({ attempts }) => attempts), suspects.map(({ crashes }) => crashes)],
      suspects.map(({ event }) => event.seq),
    ],
  })
  return rowCount === 1
}

/**
 * Takes back what `recordSuspects` has recorded, unless it has changed since: the worker survived, although it could
 * not settle the events. `before` is the new crash count of each. Events that were settled have no row any more.
 */
export async function takeBackSuspicion(
  db: Queryable,
  suspects: readonly { delivery: Delivery; before: number }[],
): Promise<void> {
  const deliveries = suspects.map(({ delivery }) => delivery)
  await db.query({
    name: 'take-back-suspicion',
    text: `
      UPDATE retries SET crashes = suspect.before
      FROM unnest($1::bigint[], $2::smallint[], $3::smallint[]) AS suspect(seq, crashes, before)
      WHERE retries.seq = suspect.seq AND retries.crashes = suspect.crashes`,
    values: [
      deliveries.map(({ event }) => event.seq),
      ...[deliveries.map(({ crashes }) => crashes), suspects.map(({ before }) => before)],
    ],
  })
}
