/**
 * Retention: removes what was settled longer ago than anybody wants to keep it.
 *
 * Only below `partitions.settled_seq`. Nothing there is unsettled but what has a row in `retries`, and a stream entry with
 * such a seq, however late it comes, is looked up in Postgres before anybody works on it: an event that is not there was
 * removed. So removing an event cannot bring its effects about again.
 *
 * A chunk of a thousand events costs some 20 ms of Postgres where the cores are free (2 million rows; 60 ms where they are not),
 * one that finds nothing to remove about half of that. The space is used again after the next vacuum.
 *
 * To Postgres, a removed event was never accepted: a later POST with its id is accepted as a new event. The age is therefore
 * also how long a producer may take to send the same event again.
 */
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { SETTLING_STATUSES } from './settled.js'

/** What became of the next events in the order of acceptance. */
export interface Removed {
  events: number
  /** How far it looked. */
  reached: number
  /** What comes behind is too young, or there is nothing more. */
  done: boolean
}

const WAITS = (row: string) =>
  `EXISTS (SELECT FROM retries w WHERE w.tenant_id = ${row}.tenant_id AND w.event_id = ${row}.event_id)`

const REMOVE_RAW = `
  DELETE FROM raw_events r USING gone WHERE r.tenant_id = gone.tenant_id AND r.event_id = gone.event_id`

// What was accepted too late to be old by now ends a round: all that comes behind it was accepted later still.
const RESULT = (isBeyond: string) => `
  SELECT (SELECT count(*) FROM gone) AS events, count(*) AS looked, max(seq) AS reached,
         bool_or(${isBeyond} OR accepted_at >= now() - $1 * interval '1 day') AS ends FROM stretch`

// An event with a dead letter goes by the dead letter's age first.
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
 * Removes what was processed more than `days` ago, with its raw event: among the next `limit` events of a partition above the
 * seq `after`. Gives nothing when another worker is at it.
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
 * Removes dead letters whose last change, a failure or a decision about it, is more than `days` ago: among the next `limit` of
 * them above the seq `after`, of all partitions. What is open or discarded goes with its raw event; what was processed after
 * all is an ordinary event from then on. Gives nothing when another worker is at it.
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
