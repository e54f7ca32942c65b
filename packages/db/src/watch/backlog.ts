/**
 * The backlog as Postgres knows it: how many events are unsettled and how old they are, at a cost that does not grow
 * with the tables.
 */
import { EVENT_OF } from '../ledger/event-ids.js'
import { IS_SETTLED_OR_RETRYING } from '../ledger/settled.js'
import type { Queryable } from '../server/connect.js'

/** The unsettled events of one partition, in one snapshot. */
export interface PartitionBacklog {
  partition: number
  /** Rises with every change of owner. */
  epoch: number
  /** Above 0: the partition has accepted events that are not in its stream. */
  dirty: number
  /** The identity of the feed that was last known to be whole; `null` when there is none. */
  feedIdentity: string | null
  /** Neither settled nor in `retries`. Counted up to a thousand; above that, estimated from their density. */
  unsettled: number
  /** In `retries`. */
  retrying: number
  /** Seconds since the oldest unsettled event was accepted or replayed; 0 if there is none. */
  oldestAgeSeconds: number
}

/**
 * The number of events above the watermark that are checked one by one: the owner keeps the watermark just below its
 * first blocked event.
 */
const CLOSE_LOOK = 100

/** Up to how many unsettled events of a partition are counted. */
const COUNTED = 1_000

/** How many retries are read. Those with the most attempts are the oldest. */
const RETRIES_LOOKED_AT = 2_000

/**
 * The events between the watermark of a partition and its last event are those of the last seconds. Checking each of
 * them would cost a tenth of processing them. So it checks the first ones, where a blocked event must be, and finds the
 * border between settled and unsettled events among the others by bisection: except for blocked events, a partition is
 * settled in order.
 */
const READ_BACKLOG = `
  WITH RECURSIVE last AS (
    SELECT p.id, p.settled_seq, e.seq, ${IS_SETTLED_OR_RETRYING} AS settled
    FROM partitions p
    CROSS JOIN LATERAL (SELECT * FROM raw_events WHERE partition = p.id AND seq > p.settled_seq ORDER BY seq DESC LIMIT 1) e),
  search (id, low, high, found) AS (
    SELECT id, settled_seq, seq, seq FROM last WHERE NOT settled
    UNION ALL
    SELECT s.id,
           CASE WHEN next.settled THEN next.seq ELSE s.low END,
           CASE WHEN next.settled THEN s.high ELSE (s.low + s.high) / 2 END,
           CASE WHEN NOT next.settled THEN next.seq ELSE s.found END
    FROM search s
    LEFT JOIN LATERAL (
      SELECT e.seq, ${IS_SETTLED_OR_RETRYING} AS settled FROM raw_events e
      WHERE e.partition = s.id AND e.seq >= (s.low + s.high) / 2 AND e.seq < s.high
      ORDER BY e.seq LIMIT 1) next ON true
    WHERE s.high - s.low > 1),
  border AS (SELECT id, min(found) AS seq FROM search GROUP BY id),
  waiting AS (SELECT partition, count(*) AS count FROM retries GROUP BY partition),
  tried AS (
    SELECT w.partition, min(coalesce(
             (SELECT max((h ->> 'at')::timestamptz) FROM jsonb_array_elements(w.history) h WHERE h ->> 'attempt' = '0'),
             e.accepted_at)) AS since
    FROM (SELECT * FROM retries ORDER BY attempts DESC LIMIT ${RETRIES_LOOKED_AT}) w
    CROSS JOIN ${EVENT_OF('w')} e
    GROUP BY w.partition)
  SELECT p.id, p.epoch, m.dirty, p.redis_run_id, coalesce(waiting.count, 0) AS retrying,
         (held.events + CASE WHEN counted.events < ${COUNTED} THEN counted.events
            ELSE round(counted.events::numeric * (last.seq - border.seq + 1) / (counted.until - border.seq + 1)) END)::float8 AS unsettled,
         coalesce(extract(epoch FROM now() - least(held.since, counted.since, tried.since)), 0)::float8 AS age
  FROM partitions p
  JOIN partition_marks m ON m.id = p.id
  LEFT JOIN last ON last.id = p.id
  LEFT JOIN border ON border.id = p.id
  LEFT JOIN waiting ON waiting.partition = p.id
  LEFT JOIN tried ON tried.partition = p.id
  CROSS JOIN LATERAL (
    SELECT count(*) AS events, max(seq) AS until, (SELECT accepted_at FROM raw_events WHERE partition = p.id AND seq = border.seq) AS since
    FROM (SELECT seq FROM raw_events WHERE partition = p.id AND seq >= border.seq ORDER BY seq LIMIT ${COUNTED}) c) counted
  CROSS JOIN LATERAL (
    SELECT count(*) AS events, min(accepted_at) AS since
    FROM (SELECT * FROM raw_events WHERE partition = p.id AND seq > p.settled_seq ORDER BY seq LIMIT ${CLOSE_LOOK}) e
    WHERE (border.seq IS NULL OR e.seq < border.seq) AND NOT ${IS_SETTLED_OR_RETRYING}) held
  ORDER BY p.id`

/**
 * Resolves with the backlog of every partition. A blocked event among settled ones may be found some seconds late,
 * after the owner has moved its watermark up to it; after a crash, only once there is a new owner.
 */
export async function readBacklog(db: Queryable): Promise<PartitionBacklog[]> {
  // Unnamed, so that it is planned each time: the tables may have been empty at the first time.
  const { rows } = await db.query(READ_BACKLOG)
  return rows.map((row) => ({
    partition: row.id,
    epoch: row.epoch,
    dirty: row.dirty,
    feedIdentity: row.redis_run_id,
    unsettled: row.unsettled,
    retrying: row.retrying,
    oldestAgeSeconds: Math.max(0, row.age),
  }))
}

/** Resolves with the number of open dead letters of each type. Reads only an index, but all of it. */
export async function countOpenDeadLetters(db: Queryable): Promise<{ type: string; count: number }[]> {
  const { rows } = await db.query(
    `SELECT type, count(*) AS count FROM failed_events WHERE status = 'open' GROUP BY type`,
  )
  return rows
}

/** Resolves with the size of the database on disk, in bytes, without its write-ahead log. */
export async function readDatabaseSize(db: Queryable): Promise<number> {
  const { rows } = await db.query('SELECT pg_database_size(current_database()) AS bytes')
  return rows[0].bytes
}
