/** `retries`: the events that wait for another attempt. Most of the time empty. */
import type { Attempt, Delivery, RawEvent } from '@eventflow/core'
import type { Queryable } from './connect.js'
import { RAW_EVENT_COLUMNS, rawEventOf } from './raw-events.js'

export interface WaitingRetry {
  event: RawEvent
  attempts: number
  history: Attempt[]
  crashes: number
  /** Milliseconds until it is due, by the database's clock; negative when overdue. */
  dueInMs: number
}

/** What waits in a partition, in the order of acceptance. */
export async function readRetries(db: Queryable, partition: number): Promise<WaitingRetry[]> {
  const { rows } = await db.query({
    name: 'read-retries',
    text: `
      SELECT ${RAW_EVENT_COLUMNS}, w.attempts, w.history, w.crashes,
             (extract(epoch FROM w.due_at - now()) * 1000)::float8 AS due_in_ms
      FROM retries w JOIN raw_events r USING (tenant_id, event_id)
      WHERE w.partition = $1 ORDER BY r.seq`,
    values: [partition],
  })
  return rows.map((row) => ({
    event: rawEventOf(row),
    attempts: row.attempts,
    history: row.history,
    crashes: row.crashes,
    dueInMs: row.due_in_ms,
  }))
}

/**
 * Writes down events that wait behind another of their key and are in no stream, so that the next owner knows of them.
 * Written under the epoch, as one statement: when it has ended nothing is written.
 */
export async function recordWaiting(
  db: Queryable,
  { partition, epoch }: { partition: number; epoch: number },
  events: readonly { tenantId: string; id: string }[],
): Promise<void> {
  await db.query({
    name: 'record-waiting',
    text: `
      WITH owned AS (SELECT id FROM partitions WHERE id = $1 AND epoch = $2 FOR SHARE)
      INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at)
      SELECT tenant_id, event_id, id, 0, now()
      FROM owned, unnest($3::text[], $4::uuid[]) AS waiting(tenant_id, event_id)
      ON CONFLICT DO NOTHING`,
    values: [partition, epoch, events.map((e) => e.tenantId), events.map((e) => e.id)],
  })
}

/**
 * Says that an event is about to be worked on alone, because a worker died with it in hand. Must be committed before the
 * work begins: if this worker dies of it too, the next one finds the count. Gives false when the epoch has ended.
 */
export async function recordSuspect(
  db: Queryable,
  { event, attempts, crashes }: Delivery,
  epoch: number,
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record-suspect',
    text: `
      INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at, crashes)
      SELECT $1, $2, id, $4, now(), $5 FROM partitions WHERE id = $3 AND epoch = $6 FOR SHARE
      ON CONFLICT (tenant_id, event_id) DO UPDATE SET crashes = excluded.crashes`,
    values: [event.tenantId, event.id, event.partition, attempts, crashes, epoch],
  })
  return rowCount === 1
}
