/** `retries`: the events that wait for another attempt. Most of the time empty. */
import type { Attempt, Delivery, RawEvent } from '@eventflow/core'
import type { Queryable } from '../server/connect.js'
import { RAW_EVENT_COLUMNS, rawEventOf } from './raw-events.js'
import type { Lease } from './settle.js'

export interface WaitingRetry {
  event: RawEvent
  attempts: number
  history: Attempt[]
  crashes: number
  /** The version of its schema that it is read as, where a replay asked for one. */
  schemaVersion?: number
  /** Milliseconds until it is due, by the database's clock; negative when overdue. */
  dueInMs: number
}

const COLUMNS = `${RAW_EVENT_COLUMNS}, w.attempts, w.history, w.crashes, w.schema_version,
         (extract(epoch FROM w.due_at - now()) * 1000)::float8 AS due_in_ms`

/** What waits in a partition, in the order of acceptance: at most `limit`, of those with a seq above `after`. */
export async function readRetries(
  db: Queryable,
  partition: number,
  { after, limit }: { after: number; limit: number },
): Promise<WaitingRetry[]> {
  const { rows } = await db.query({
    name: 'read-retries',
    text: `
      SELECT ${COLUMNS}
      FROM retries w JOIN raw_events r USING (tenant_id, event_id)
      WHERE w.partition = $1 AND r.seq > $2 ORDER BY r.seq LIMIT $3`,
    values: [partition, after, limit],
  })
  return rows.map(retryOf)
}

/**
 * What is due in these partitions and not among the `held`: somebody else has put it there. At most `limit`, the first due
 * first. Where nothing waits, which is nearly always, this is one look into an empty index.
 */
export async function readDueRetries(
  db: Queryable,
  partitions: readonly number[],
  { held, limit }: { held: readonly { tenantId: string; id: string }[]; limit: number },
): Promise<WaitingRetry[]> {
  const { rows } = await db.query({
    name: 'read-due-retries',
    text: `
      SELECT ${COLUMNS}
      FROM (SELECT * FROM retries w
            WHERE w.partition = ANY($1::smallint[]) AND w.due_at <= now()
              AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::uuid[]) AS held(tenant_id, event_id)
                              WHERE held.tenant_id = w.tenant_id AND held.event_id = w.event_id)
            ORDER BY w.due_at LIMIT $4) w
      JOIN raw_events r USING (tenant_id, event_id) ORDER BY w.due_at`,
    values: [partitions, held.map((e) => e.tenantId), held.map((e) => e.id), limit],
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
    dueInMs: row.due_in_ms,
  }
}

/**
 * Writes down events that wait behind another of their key and are in no stream, so that the next owner knows of them.
 * Written under the epoch, as one statement: when it has ended nothing is written. Gives whether it still holds.
 */
export async function recordWaiting(
  db: Queryable,
  { partition, epoch }: { partition: number; epoch: number },
  events: readonly { tenantId: string; id: string }[],
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record-waiting',
    text: `
      WITH owned AS (SELECT id FROM partitions WHERE id = $1 AND epoch = $2 FOR SHARE), written AS (
        INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at)
        SELECT tenant_id, event_id, id, 0, now()
        FROM owned, unnest($3::text[], $4::uuid[]) AS waiting(tenant_id, event_id)
        ON CONFLICT DO NOTHING)
      SELECT FROM owned`,
    values: [partition, epoch, events.map((e) => e.tenantId), events.map((e) => e.id)],
  })
  return rowCount === 1
}

/**
 * Says that these events of a partition are about to be worked on, with no others in hand, because a worker died with them; each with
 * the number of crashes that it will have had if this worker dies of them too. Must be committed before the work begins. Gives false,
 * with nothing written, when the lease does not hold: with a mark, an earlier event of a key may be in no stream and in no `retries`,
 * and these would overtake it from there.
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
        INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at, crashes)
        SELECT tenant_id, event_id, id, attempts, now(), crashes
        FROM held, unnest($4::text[], $5::uuid[], $6::smallint[], $7::smallint[])
                     AS suspect(tenant_id, event_id, attempts, crashes)
        ON CONFLICT (tenant_id, event_id) DO UPDATE SET crashes = excluded.crashes)
      SELECT FROM held`,
    values: [
      ...[partition, epoch, dirty],
      ...[suspects.map(({ event }) => event.tenantId), suspects.map(({ event }) => event.id)],
      ...[suspects.map(({ attempts }) => attempts), suspects.map(({ crashes }) => crashes)],
    ],
  })
  return rowCount === 1
}

/**
 * Takes back what `recordSuspects` has said of deliveries, where it still stands: the worker has lived, though it could not settle them.
 * `before`: how many crashes each has had from now on. A settled event has no row any more.
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
      FROM unnest($1::text[], $2::uuid[], $3::smallint[], $4::smallint[])
             AS suspect(tenant_id, event_id, crashes, before)
      WHERE retries.tenant_id = suspect.tenant_id AND retries.event_id = suspect.event_id
        AND retries.crashes = suspect.crashes`,
    values: [
      ...[deliveries.map(({ event }) => event.tenantId), deliveries.map(({ event }) => event.id)],
      ...[deliveries.map(({ crashes }) => crashes), suspects.map(({ before }) => before)],
    ],
  })
}
