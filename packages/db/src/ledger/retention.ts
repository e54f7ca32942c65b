/**
 * Retention: removes events that were settled longer ago than the configured age.
 *
 * It removes only events below `partitions.settled_seq`. There, every event is settled or in `retries`. If a stream
 * entry with such a seq arrives late, the worker looks its event up in Postgres before processing it, and treats a
 * missing event as removed. So the effects of a removed event cannot be repeated.
 *
 * A chunk of a thousand events takes about 20 ms of Postgres on idle cores (2 million rows; 60 ms on busy ones), and
 * about half of that if there is nothing to remove. The space is reused after the next vacuum.
 *
 * To Postgres, a removed event was never accepted: a later POST with its id is accepted as a new event. So the
 * configured age is also how long a producer may take to send an event again.
 */
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { SETTLING_STATUSES } from './settled.js'

/** The result of one chunk, in the order of acceptance. */
export interface Removed {
  events: number
  /** The last seq that was checked. */
  reached: number
  /** The next events are too young, or there are no more. */
  done: boolean
}

const WAITS = (row: string) =>
  `EXISTS (SELECT FROM retries w WHERE w.tenant_id = ${row}.tenant_id AND w.event_id = ${row}.event_id)`

const REMOVE_RAW = `
  DELETE FROM raw_events r USING gone WHERE r.tenant_id = gone.tenant_id AND r.event_id = gone.event_id`

// An event that was accepted too recently to be old ends a round: the ones behind it were accepted later still.
const RESULT = (isBeyond: string) => `
  SELECT (SELECT count(*) FROM gone) AS events, count(*) AS looked, max(seq) AS reached,
         bool_or(${isBeyond} OR accepted_at >= now() - $1 * interval '1 day') AS ends FROM stretch`

// The age of dead letters applies to events with a dead letter.
const REMOVE_PROCESSED = `
  WITH stretch AS (
         SELECT tenant_id, event_id, seq, accepted_at,
                seq <= (SELECT settled_seq FROM partitions WHERE id = $4) AS settled
         FROM raw_events WHERE partition = $4 AND seq > $2 ORDER BY seq LIMIT $3),
       gone AS (DELETE FROM processed_events p USING stretch s
                WHERE p.tenant_id = s.tenant_id AND p.event_id = s.event_id
                  AND s.settled AND p.processed_at < now() - $1 * interval '1 day'
                  AND NOT EXISTS (SELECT FROM failed_events f
                                  WHERE f.tenant_id = s.tenant_id AND f.event_id = s.event_id)
                  AND NOT ${WAITS('s')}
                RETURNING p.tenant_id, p.event_id),
       raw AS (${REMOVE_RAW})
  ${RESULT('NOT settled')}`

const REMOVE_DEAD_LETTERS = `
  WITH stretch AS (
         SELECT tenant_id, event_id, seq, accepted_at, seq <= settled_seq AS settled
         FROM failed_events JOIN partitions ON partitions.id = partition
         WHERE seq > $2 ORDER BY seq LIMIT $3),
       gone AS (DELETE FROM failed_events f USING stretch s
                WHERE f.tenant_id = s.tenant_id AND f.event_id = s.event_id
                  AND s.settled AND f.status <> 'replaying'
                  AND coalesce(f.resolved_at, f.failed_at) < now() - $1 * interval '1 day'
                  AND NOT ${WAITS('s')}
                RETURNING f.tenant_id, f.event_id, f.status),
       raw AS (${REMOVE_RAW} AND gone.status IN ${SETTLING_STATUSES})
  ${RESULT('false')}`

/**
 * Removes events that were processed more than `days` ago, with their raw events, among the next `limit` events of a
 * partition above the seq `after`. Resolves with undefined if another worker is already removing.
 */
export function removeProcessed(
  db: Db,
  days: number,
  { partition, after, limit }: { partition: number; after: number; limit: number },
): Promise<Removed | undefined> {
  return alone(db, async (tx) => {
    const { rows } = await tx.query(REMOVE_PROCESSED, [days, after, limit, partition])
    return removedOf(rows[0], limit)
  })
}

/**
 * Removes dead letters whose last change (a failure or an operator's decision) is more than `days` ago, among the next
 * `limit` of all partitions above the seq `after`. Open and discarded ones are removed with their raw events; the event
 * of a replayed one then counts as an ordinary processed event. Resolves with undefined if another worker is already
 * removing.
 */
export function removeDeadLetters(
  db: Db,
  days: number,
  { after, limit }: { after: number; limit: number },
): Promise<Removed | undefined> {
  return alone(db, async (tx) => {
    const { rows } = await tx.query(REMOVE_DEAD_LETTERS, [days, after, limit])
    return removedOf(rows[0], limit)
  })
}

function removedOf(
  row: { events: number; looked: number; reached: number | null; ends: boolean | null },
  limit: number,
): Removed {
  return { events: row.events, reached: row.reached ?? 0, done: row.ends === true || row.looked < limit }
}

async function alone<Result>(db: Db, work: (tx: Queryable) => Promise<Result>): Promise<Result | undefined> {
  return withTransaction(db, async (tx) => {
    const { rows } = await tx.query('SELECT pg_try_advisory_xact_lock($1) AS free', [ADVISORY_LOCKS.retention])
    return rows[0].free ? work(tx) : undefined
  })
}
