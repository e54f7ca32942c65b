/**
 * `group_parked`: the events behind the cursor of a group that are still to be handled. An event is parked when it needs
 * another attempt, and the later events of its key are parked behind it, so that the group goes on with other keys.
 */
import { type Attempt, type Delivery, type Failed, historyWith } from '@eventflow/core'
import { storableJson, toldText } from '../ledger/told.js'
import { entryOf, LOG_COLUMNS, type LogEntry, RAW_OF_ENTRY } from '../log/read-log.js'
import type { Queryable } from '../server/connect.js'

/** A parked event. */
export interface Parked extends LogEntry {
  attempts: number
  history: Attempt[]
  /** How often a worker process died while it handled this event alone, or among a few. */
  crashes: number
  /** Milliseconds until it is due, by the database's clock; `null` if it waits behind another event of its key. */
  dueInMs: number | null
}

const FROM_LOG = (table: string) => `SELECT ${LOG_COLUMNS}, payload::text AS payload FROM ${table} WHERE seq = k.seq`

const READ_PARKED = (chosen: string) => `
  SELECT k.partition, k.attempts, k.history, k.crashes, (extract(epoch FROM k.due_at - now()) * 1000)::float8 AS due_in_ms,
         ${RAW_OF_ENTRY}
  FROM (SELECT * FROM group_parked WHERE group_id = $1 AND partition = ANY($2::smallint[]) AND ${chosen}) k
  CROSS JOIN LATERAL (
    SELECT * FROM (${FROM_LOG('processed_events')} UNION ALL ${FROM_LOG('log_replaying')}) both_tables LIMIT 1) s
  LEFT JOIN LATERAL (SELECT * FROM raw_events WHERE partition = k.partition AND seq = k.seq OFFSET 0) r ON true
  ORDER BY k.position`

/** Resolves with parked events of a partition, in the order of the log: at most `limit`, with a position above `after`. */
export async function readParked(
  db: Queryable,
  groupId: number,
  partition: number,
  { after, limit }: { after: number; limit: number },
): Promise<Parked[]> {
  const { rows } = await db.query({
    name: 'read-parked',
    text: READ_PARKED('position > $3 ORDER BY position LIMIT $4'),
    values: [groupId, [partition], after, limit],
  })
  return rows.map(parkedOf)
}

/**
 * Resolves with the due events of these partitions that are not among `held`: an operator has added them. At most
 * `limit`.
 */
export async function readDueParked(
  db: Queryable,
  groupId: number,
  partitions: readonly number[],
  { held, limit }: { held: readonly number[]; limit: number },
): Promise<Parked[]> {
  const { rows } = await db.query({
    name: 'read-due-parked',
    text: READ_PARKED('due_at <= now() AND seq <> ALL($3::bigint[]) ORDER BY position LIMIT $4'),
    values: [groupId, partitions, held, limit],
  })
  return rows.map(parkedOf)
}

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns above.
function parkedOf(row: any): Parked {
  return { ...entryOf(row), attempts: row.attempts, history: row.history, crashes: row.crashes, dueInMs: row.due_in_ms }
}

/** The place of an event in the log, and the attempts it has had. */
export interface ParkedState {
  seq: number
  attempts: number
}

/**
 * Locks the rows of parked events. Resolves with the seqs of those that are in the given state: the others were handled
 * before, by a batch whose COMMIT was not answered, or an operator has replayed them.
 */
export async function lockParked(tx: Queryable, groupId: number, parked: readonly ParkedState[]): Promise<Set<number>> {
  const { rows } = await tx.query({
    name: 'lock-parked',
    text: `
      SELECT seq FROM group_parked JOIN unnest($2::bigint[], $3::smallint[]) AS held(seq, attempts) USING (seq, attempts)
      WHERE group_id = $1 AND seq = ANY($2::bigint[]) ORDER BY seq FOR UPDATE OF group_parked`,
    values: [groupId, parked.map((p) => p.seq), parked.map((p) => p.attempts)],
  })
  return new Set(rows.map((row) => row.seq))
}

/** An event to be parked. */
export interface Parking {
  delivery: Delivery
  position: number
  attempts: number
  history: readonly Attempt[]
  /** Milliseconds until it is due; `null` behind another event of its key. */
  delayMs: number | null
  /** As in `Parked`; 0 if missing. */
  crashes?: number
}

/** Parks events, or changes when they are due. */
export async function parkEvents(tx: Queryable, groupId: number, parking: readonly Parking[]): Promise<void> {
  const events = parking.map(({ delivery }) => delivery.event)
  await tx.query({
    name: 'park-events',
    text: `
      INSERT INTO group_parked (group_id, seq, partition, position, tenant_id, attempts, due_at, history, crashes)
      SELECT $1, seq, partition, position, tenant_id, attempts, now() + delay_ms * interval '1 millisecond', history, crashes
      FROM unnest($2::bigint[], $3::smallint[], $4::bigint[], $5::text[], $6::smallint[], $7::bigint[], $8::jsonb[],
                  $9::smallint[])
        AS e(seq, partition, position, tenant_id, attempts, delay_ms, history, crashes)
      ON CONFLICT (group_id, seq) DO UPDATE
        SET attempts = excluded.attempts, due_at = excluded.due_at, history = excluded.history, crashes = excluded.crashes`,
    values: [
      ...[groupId, events.map((e) => e.seq), events.map((e) => e.partition), parking.map((p) => p.position)],
      ...[events.map((e) => e.tenantId), parking.map((p) => p.attempts), parking.map((p) => p.delayMs)],
      ...[parking.map((p) => storableJson(p.history)), parking.map((p) => p.crashes ?? 0)],
    ],
  })
}

/**
 * Removes the rows of parked events that are handled now. The dead letters of those that were replayed, and succeeded,
 * become *replayed*.
 */
export async function endParking(
  tx: Queryable,
  groupId: number,
  { processed, failed }: { processed: readonly number[]; failed: readonly number[] },
): Promise<void> {
  await tx.query({
    name: 'end-parking',
    text: `
      WITH replayed AS (
        UPDATE group_dead_letters SET status = 'replayed', resolved_at = clock_timestamp()
        WHERE group_id = $1 AND seq = ANY($2::bigint[]) AND status = 'replaying')
      DELETE FROM group_parked WHERE group_id = $1 AND seq = ANY($2::bigint[] || $3::bigint[])`,
    values: [groupId, processed, failed],
  })
}

/** Writes dead letters of a group. One that was replayed and fails again is open again, with the new history. */
export async function insertGroupDeadLetters(
  tx: Queryable,
  groupId: number,
  dead: readonly { failed: Failed; position: number }[],
  by: { workerId: string; now: Date },
): Promise<void> {
  const events = dead.map(({ failed }) => failed.delivery.event)
  const failures = dead.map(({ failed }) => failed.failure)
  await tx.query({
    name: 'insert-group-dead-letters',
    text: `
      INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
                                      failure_type, error_class, message, errors, component, attempts, history,
                                      correlation_id, accepted_at, worker_id)
      SELECT $1, *, $19 FROM unnest($2::bigint[], $3::smallint[], $4::bigint[], $5::text[], $6::uuid[], $7::text[],
                                    $8::text[], $9::json[], $10::text[], $11::text[], $12::text[], $13::jsonb[],
                                    $14::text[], $15::smallint[], $16::jsonb[], $17::text[], $18::timestamptz[])
      ON CONFLICT (group_id, seq) DO UPDATE
        SET failure_type = excluded.failure_type, error_class = excluded.error_class, message = excluded.message,
            errors = excluded.errors, component = excluded.component, attempts = excluded.attempts,
            history = excluded.history, worker_id = excluded.worker_id, failed_at = excluded.failed_at,
            status = 'open', resolved_at = NULL, resolved_by = NULL, reason = NULL`,
    values: [
      ...[groupId, events.map((e) => e.seq), events.map((e) => e.partition), dead.map((d) => d.position)],
      ...[events.map((e) => e.tenantId), events.map((e) => e.id), events.map((e) => e.type), events.map((e) => e.key)],
      ...[dead.map(({ failed }) => failed.delivery.payload), failures.map((f) => f.failureType)],
      ...[failures.map((f) => toldText(f.errorClass)), failures.map((f) => toldText(f.message))],
      ...[failures.map((f) => storableJson(f.problems)), failures.map((f) => toldText(f.component))],
      dead.map(({ failed }) => failed.delivery.attempts + 1),
      dead.map(({ failed }) => storableJson(historyWith(failed.delivery, failed.failure, by.now))),
      ...[events.map((e) => e.correlationId), events.map((e) => e.acceptedAt), by.workerId],
    ],
  })
}
