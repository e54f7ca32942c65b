/**
 * The statements of the settling transaction. They write absolute values only, so settling a batch again (because the
 * answer to its COMMIT was lost) changes nothing.
 */
import { type Failed, historyWith, type Processed, type Retry } from '@eventflow/core'
import type { Queryable } from '../server/connect.js'
import { IS_SAME_HISTORY } from '../server/incarnation.js'
import { bigintColumn, jsonbColumn, smallintColumn, textColumn, timestamptzColumn, uuidColumn } from './columns.js'
import { hasRow, SETTLING_STATUSES } from './settled.js'
import { storableJson, toldText } from './told.js'

/** The right to settle a partition's events. */
export interface Lease {
  partition: number
  /** Rises with every change of owner. */
  epoch: number
  /**
   * The required value of `partition_marks.dirty`: 0 for events from the stream, because nothing may be settled from a
   * stream that lacks events. `null` for events from Postgres, where nothing can be missing.
   */
  dirty: 0 | null
}

/**
 * Finds the partitions whose lease holds and whose mark matches the lease. It locks the rows of `partitions` until the
 * transaction ends: that fences off old owners, and makes the settles of a partition follow one another. The marks are
 * read without a lock, so that ingest never waits for a settling transaction; `partition-marks.ts` explains why that is
 * enough. On a server that has forgotten events, no lease holds (`server/incarnation.ts`).
 */
const FENCE = (partitions: string, epochs: string, dirty: string) => `
  SELECT id FROM partitions JOIN partition_marks USING (id)
  JOIN unnest(${partitions}::smallint[], ${epochs}::bigint[], ${dirty}::bigint[]) AS held(id, epoch, dirty) USING (id, epoch)
  WHERE (held.dirty IS NULL OR held.dirty = partition_marks.dirty) AND ${IS_SAME_HISTORY}
  ORDER BY id FOR NO KEY UPDATE OF partitions`

const fenceValues = (leases: readonly Lease[]) => [
  smallintColumn(leases.map((l) => l.partition)),
  bigintColumn(leases.map((l) => l.epoch)),
  bigintColumn(leases.map((l) => l.dirty)),
]

/**
 * Resolves with the leases that no longer hold: another worker took the partition over, or its stream lacks an event.
 * The epochs of the others hold until the transaction ends, but a later statement of it may still see a new mark.
 */
export async function findBrokenLeases(tx: Queryable, leases: readonly Lease[]): Promise<Lease[]> {
  const { rows } = await tx.query({ name: 'fence', text: FENCE('$1', '$2', '$3'), values: fenceValues(leases) })
  if (rows.length === leases.length) return []
  const holding = new Set(rows.map((row) => row.id))
  return leases.filter((lease) => !holding.has(lease.partition))
}

/** The result of inserting processed events. */
export interface Inserted {
  /** Partitions that failed the fence: nothing was written for them. */
  broken: Set<number>
  /** The seqs of the events that were not settled before, so their handlers must run. */
  inserted: Set<number>
}

// The statement includes the fence, so that a batch without handlers is settled in one round trip. An event that has
// failed or was discarded stays so, even if a second stream entry delivers it; one that is being replayed does not.
//
// Positions are drawn in the order of the arrays, after the fence has locked the partitions. So within a partition they
// rise in the order of the commits: a reader that sees a position sees all lower ones. There are gaps. That needs a lock
// which excludes other settles of the partition, and a sequence without a cache.
//
// A processed event that is replayed keeps its place in the log: it gets its position from `log_replaying`. Whether there
// is one for any event of the batch is asked once, in the range of its seqs, so other batches pay next to nothing.
//
// Of a part that retention has dropped, every event was settled.
const INSERT_PROCESSED = `
  WITH holding AS MATERIALIZED (${FENCE('$13', '$14', '$15')}),
  inserted AS (
    INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, history,
                                  worker_id, correlation_id, accepted_at, processing_ms, occurred_at, position)
    SELECT tenant_id, event_id, seq, type, key, partition, payload, attempts, history,
           $16, correlation_id, accepted_at, $17, occurred_at,
           coalesce(CASE WHEN (SELECT EXISTS (SELECT FROM log_replaying WHERE seq BETWEEN $3[1] AND $3[cardinality($3)]))
                         THEN (SELECT position FROM log_replaying l WHERE l.seq = e.seq) END,
                    nextval('log_position'))
    FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::smallint[], $7::jsonb[], $8::smallint[],
                $9::jsonb[], $10::text[], $11::timestamptz[], $12::timestamptz[])
      AS e(tenant_id, event_id, seq, type, key, partition, payload, attempts, history, correlation_id, accepted_at, occurred_at)
    WHERE partition = ANY (ARRAY(SELECT id FROM holding)) AND seq >= (SELECT first_seq FROM ledger)
      AND NOT ${hasRow('failed_events', `o.status IN ${SETTLING_STATUSES}`)}
    ON CONFLICT DO NOTHING
    RETURNING seq)
  SELECT (SELECT coalesce(array_agg(id), '{}') FROM holding) AS holding,
         CASE WHEN count(*) < cardinality($3) THEN coalesce(array_agg(seq), '{}') END AS inserted
  FROM inserted`

/**
 * Inserts processed events behind the fence, each partition's under its lease. A partition without a lease counts as
 * lost.
 */
export async function insertProcessed(
  db: Queryable,
  commits: readonly Processed[],
  leases: readonly Lease[],
  by: { workerId: string; processingMs: number },
): Promise<Inserted> {
  const inOrder = commits.toSorted((a, b) => a.delivery.event.seq - b.delivery.event.seq)
  const events = inOrder.map((c) => c.delivery.event)
  const { rows } = await db.query({
    name: 'insert-processed',
    text: INSERT_PROCESSED,
    values: [
      textColumn(events.map((e) => e.tenantId)),
      uuidColumn(events.map((e) => e.id)),
      bigintColumn(events.map((e) => e.seq)),
      textColumn(events.map((e) => e.type)),
      textColumn(events.map((e) => e.key)),
      smallintColumn(events.map((e) => e.partition)),
      jsonbColumn(inOrder.map((c) => c.payload)),
      smallintColumn(inOrder.map((c) => c.delivery.attempts + 1)),
      jsonbColumn(inOrder.map(({ delivery: { history } }) => (history.length > 0 ? storableJson(history) : undefined))),
      textColumn(events.map((e) => e.correlationId)),
      timestamptzColumn(events.map((e) => e.acceptedAt)),
      timestamptzColumn(events.map((e) => e.occurredAt)),
      ...fenceValues(leases),
      by.workerId,
      by.processingMs,
    ],
  })
  const { holding, inserted } = rows[0] as { holding: number[]; inserted: string[] | null }
  const partitions = new Set(events.map(({ partition }) => partition))
  return {
    broken: new Set([...partitions].filter((partition) => !holding.includes(partition))),
    inserted: new Set(inserted?.map(Number) ?? events.map(({ seq }) => seq)),
  }
}

// A replayed event that fails again reopens its dead letter, with the new history.
const INSERT_FAILED = `
  INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message,
                             errors, component, worker_id, attempts, history, correlation_id, accepted_at)
  SELECT tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message,
         errors, component, $17, attempts, history, correlation_id, accepted_at
  FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::smallint[], $7::json[], $8::text[],
              $9::text[], $10::text[], $11::jsonb[], $12::text[], $13::smallint[], $14::jsonb[], $15::text[],
              $16::timestamptz[])
    AS e(tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message, errors, component,
         attempts, history, correlation_id, accepted_at)
  WHERE NOT ${hasRow('processed_events')}
    AND seq >= (SELECT first_seq FROM ledger)
  ON CONFLICT (tenant_id, event_id) DO UPDATE
    SET failure_type = excluded.failure_type, error_class = excluded.error_class, message = excluded.message,
        errors = excluded.errors, component = excluded.component, worker_id = excluded.worker_id,
        attempts = excluded.attempts, history = excluded.history, failed_at = excluded.failed_at, status = 'open',
        resolved_at = NULL, resolved_by = NULL, reason = NULL
    WHERE failed_events.status = 'replaying'`

/** Writes dead letters. An event that was already processed or has failed is left unchanged. */
export async function insertFailed(tx: Queryable, dead: readonly Failed[], by: { workerId: string; now: Date }) {
  const events = dead.map((d) => d.delivery.event)
  await tx.query({
    name: 'insert-failed',
    text: INSERT_FAILED,
    values: [
      events.map((e) => e.tenantId),
      events.map((e) => e.id),
      events.map((e) => e.seq),
      events.map((e) => e.type),
      events.map((e) => e.key),
      events.map((e) => e.partition),
      dead.map((d) => d.delivery.payload),
      dead.map((d) => d.failure.failureType),
      dead.map((d) => toldText(d.failure.errorClass)),
      dead.map((d) => toldText(d.failure.message)),
      dead.map((d) => storableJson(d.failure.problems)),
      dead.map((d) => toldText(d.failure.component)),
      dead.map((d) => d.delivery.attempts + 1),
      dead.map((d) => storableJson(historyWith(d.delivery, d.failure, by.now))),
      events.map((e) => e.correlationId),
      events.map((e) => e.acceptedAt),
      by.workerId,
    ],
  })
}

/** Writes or updates the retries of events that failed transiently. `due_at` uses the database's clock. */
export async function upsertRetries(tx: Queryable, retries: readonly Retry[], now: Date): Promise<void> {
  const events = retries.map((r) => r.delivery.event)
  await tx.query({
    name: 'upsert-retries',
    text: `
      INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, history)
      SELECT tenant_id, event_id, seq, partition, attempts, now() + delay_ms * interval '1 millisecond', history
      FROM unnest($1::text[], $2::uuid[], $3::smallint[], $4::smallint[], $5::integer[], $6::jsonb[], $7::bigint[])
        AS e(tenant_id, event_id, partition, attempts, delay_ms, history, seq)
      ON CONFLICT (seq) DO UPDATE
        SET attempts = excluded.attempts, due_at = excluded.due_at, history = excluded.history, crashes = 0
        WHERE retries.attempts < excluded.attempts`,
    values: [
      events.map((e) => e.tenantId),
      events.map((e) => e.id),
      events.map((e) => e.partition),
      retries.map((r) => r.delivery.attempts + 1),
      retries.map((r) => r.delayMs),
      retries.map((r) => storableJson(historyWith(r.delivery, r.failure, now))),
      events.map((e) => e.seq),
    ],
  })
}

// It checks the current state of the events, not what this batch has done: an earlier run of the batch may have been
// committed though its answer was lost, and an operator may have replayed an event since. A replay locks the row of the
// settled event first, as this statement does. So either both see that the event is settled, or the replay has removed
// that state.
const END_WAITING = `
  WITH settled AS (SELECT unnest($1::bigint[]) AS seq),
       processed AS MATERIALIZED (
         SELECT p.seq FROM settled
         CROSS JOIN LATERAL (SELECT seq FROM processed_events WHERE seq = settled.seq OFFSET 0 FOR KEY SHARE) p),
       buried AS MATERIALIZED (
         SELECT seq FROM failed_events JOIN settled USING (seq)
         WHERE status IN ${SETTLING_STATUSES} FOR SHARE OF failed_events),
       replayed AS (
         UPDATE failed_events f SET status = 'replayed', resolved_at = clock_timestamp()
         FROM processed p WHERE f.seq = p.seq AND f.status = 'replaying'),
       in_place AS (DELETE FROM log_replaying l USING processed p WHERE l.seq = p.seq)
  DELETE FROM retries USING (SELECT * FROM processed UNION ALL SELECT * FROM buried) AS ended
  WHERE retries.seq = ended.seq`

/**
 * Removes the retries of those of these events that are settled, and marks the dead letters of the processed ones as
 * replayed. The entries of these in the log are those of `processed_events` again.
 */
export async function endWaiting(tx: Queryable, events: readonly { seq: number }[]): Promise<void> {
  await tx.query({
    name: 'end-waiting',
    text: END_WAITING,
    values: [bigintColumn(events.map((e) => e.seq))],
  })
}
