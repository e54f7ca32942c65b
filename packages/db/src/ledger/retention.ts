/**
 * Removes dead letters whose last change was longer ago than the configured age. They are few, so they are removed row
 * by row. Everything else is removed by parts: see `parts/retire.ts`.
 *
 * It removes only events below `partitions.settled_seq`. There, every event is settled or in `retries`. If a stream
 * entry with such a seq arrives late, the worker looks its event up in Postgres before processing it, and treats a
 * missing event as removed. So the effects of a removed event cannot be repeated.
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

/** The unit of all ages. */
export const DAY = `interval '1 day'`

// The raw event goes with its letter: without the letter it would look unsettled. So does the entry of the log, if the
// event failed when it was replayed. The log does not begin after that one: it has earlier ones. An event that was
// accepted too recently to be old ends a round: the ones behind it were accepted later still.
const REMOVE_DEAD_LETTERS = `
  WITH stretch AS (
         SELECT f.seq, f.accepted_at, f.seq <= settled_seq AS settled
         FROM failed_events f JOIN partitions ON partitions.id = f.partition
         WHERE f.seq > $2 ORDER BY f.seq LIMIT $3),
       gone AS (DELETE FROM failed_events f USING stretch s
                WHERE f.seq = s.seq AND s.settled AND f.status <> 'replaying'
                  AND coalesce(f.resolved_at, f.failed_at) < now() - $1 * ${DAY}
                  AND NOT EXISTS (SELECT FROM retries w WHERE w.seq = s.seq)
                  AND NOT EXISTS (SELECT FROM ledger_parts l
                                  WHERE s.seq >= l.from_seq AND s.seq < l.until_seq AND l.dropped_at IS NULL
                                    AND (l.kept_until > now() OR $4 AND l.archived_at IS NULL))
                RETURNING f.seq, f.partition, f.status),
       raw AS (DELETE FROM raw_events r USING gone
               WHERE r.partition = gone.partition AND r.seq = gone.seq AND gone.status IN ${SETTLING_STATUSES}),
       log AS (DELETE FROM log_replaying l USING gone WHERE l.seq = gone.seq AND gone.status IN ${SETTLING_STATUSES})
  SELECT (SELECT count(*) FROM gone) AS events, count(*) AS looked, max(seq) AS reached,
         bool_or(accepted_at >= now() - $1 * ${DAY}) AS ends FROM stretch`

/**
 * Removes dead letters whose last change (a failure or an operator's decision) is more than `days` ago, among the next
 * `limit` of all partitions above the seq `after`. Open and discarded ones are removed with their raw events; the event
 * of a replayed one then counts as an ordinary processed event. Letters of a part that was restored stay as long as the
 * part; with `archivedOnly`, those of a part that was not archived stay, too. Resolves with undefined if another
 * process is already removing.
 */
export function removeDeadLetters(
  db: Db,
  days: number,
  { after, limit, archivedOnly }: { after: number; limit: number; archivedOnly: boolean },
): Promise<Removed | undefined> {
  return alone(db, async (tx) => {
    const { rows } = await tx.query(REMOVE_DEAD_LETTERS, [days, after, limit, archivedOnly])
    const [row] = rows as { events: number; looked: number; reached: number | null; ends: boolean | null }[]
    return { events: row!.events, reached: row!.reached ?? 0, done: row!.ends === true || row!.looked < limit }
  })
}

// The last hold of a tenant stays unless it was released: it is in force where the log begins. The oldest go first, so a
// release is never gone before its hold.
const REMOVE_MARKS = `
  DELETE FROM log_marks WHERE (partition, position) IN (
    SELECT m.partition, m.position
    FROM log_starts s CROSS JOIN LATERAL (
      SELECT partition, position FROM log_marks m
      WHERE partition = s.partition AND position <= s.low_position
        AND (kind <> 'hold' OR EXISTS (
          SELECT FROM log_marks l
          WHERE l.partition = m.partition AND l.tenant_id = m.tenant_id AND l.kind IN ('hold', 'release')
            AND l.position > m.position AND l.position <= s.low_position))
      ORDER BY position LIMIT $1) m
    LIMIT $1)`

/**
 * Removes marks before the beginning of the log, at most `limit`, the oldest of each partition first. Resolves with
 * how many; with undefined if another process is already removing.
 */
export function removeMarks(db: Db, limit: number): Promise<number | undefined> {
  return alone(db, async (tx) => (await tx.query(REMOVE_MARKS, [limit])).rowCount ?? 0)
}

async function alone<Result>(db: Db, work: (tx: Queryable) => Promise<Result>): Promise<Result | undefined> {
  return withTransaction(db, async (tx) => {
    const { rows } = await tx.query('SELECT pg_try_advisory_xact_lock($1) AS free', [ADVISORY_LOCKS.retention])
    return rows[0].free ? work(tx) : undefined
  })
}
