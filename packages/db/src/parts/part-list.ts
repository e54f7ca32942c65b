/** The parts of the ledger, and which of them retention may empty now. */
import { DAY } from '../ledger/retention.js'
import type { Queryable } from '../server/connect.js'
import type { PartRange } from '../server/to-parts.js'

/**
 * - `ahead`: it has no event yet.
 * - `open`: it takes the new events.
 * - `closed`: all its seqs are assigned.
 * - `emptied`: retention has removed its events, except those that are kept longer.
 */
type PartState = 'ahead' | 'open' | 'closed' | 'emptied'

/** A part of the ledger, as operators see it. */
export interface ListedPart extends PartRange {
  state: PartState
  /** About how many events it has, by the statistics of Postgres; -1: unknown yet. */
  rows: number
  /** The size of its tables with their indexes, in bytes. */
  bytes: number
  /** When its youngest event was accepted; null if it has none. */
  youngestAt: Date | null
  archivedAt: Date | null
  emptiedAt: Date | null
  /** Restored: until then retention leaves it alone. */
  keptUntil: Date | null
}

const LAST_SEQ = '(SELECT coalesce(pg_sequence_last_value(sequence::regclass), 0) FROM ledger)'

/** No event can get into the part `l` any more. A seq that was assigned is stored or lost within seconds. */
export const IS_CLOSED = `l.until_seq <= ${LAST_SEQ} + 1`

/**
 * When the youngest event of the part `l` was accepted. Seqs of a partition are assigned in the order of acceptance.
 */
const YOUNGEST = `
  (SELECT max((SELECT accepted_at FROM raw_events r
               WHERE r.partition = s.id AND r.seq >= l.from_seq AND r.seq < l.until_seq ORDER BY r.seq DESC LIMIT 1))
   FROM partitions s)`

/** Resolves with the parts that exist, the oldest first; none before the tables are in parts. */
export async function listParts(db: Queryable): Promise<ListedPart[]> {
  const { rows } = await db.query(`
    SELECT l.part, l.from_seq AS "from", l.until_seq AS until,
           CASE WHEN l.from_seq > ${LAST_SEQ} THEN 'ahead' WHEN NOT ${IS_CLOSED} THEN 'open'
                WHEN l.emptied_at IS NULL THEN 'closed' ELSE 'emptied' END AS state,
           (SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass('raw_events_' || l.part)) AS rows,
           coalesce(pg_total_relation_size(to_regclass('raw_events_' || l.part)), 0)
             + coalesce(pg_total_relation_size(to_regclass('processed_events_' || l.part)), 0) AS bytes,
           ${YOUNGEST} AS "youngestAt", l.archived_at AS "archivedAt", l.emptied_at AS "emptiedAt",
           CASE WHEN l.kept_until > now() THEN l.kept_until END AS "keptUntil"
    FROM ledger_parts l WHERE l.dropped_at IS NULL ORDER BY l.from_seq`)
  return rows
}

/** What holds the part `l` back, although it is old enough. Later readers of the log belong here. */
const IS_HELD_BACK = 'l.kept_until > now()'

/** All its events are settled or in `retries`: none is above the watermark of its partition. */
export const IS_BELOW_WATERMARKS = `
  NOT EXISTS (SELECT FROM partitions s
              WHERE (SELECT true FROM raw_events r
                     WHERE r.partition = s.id AND r.seq > s.settled_seq AND r.seq >= l.from_seq AND r.seq < l.until_seq
                     LIMIT 1))`

/** Its tables are dropped one after the other: after a crash, one of them may be gone. */
export const IS_BEING_DROPPED = '(l.until_seq <= (SELECT first_seq FROM ledger))'

/** A part is looked at again after this time: what it keeps may have become old. */
const REST = `interval '1 hour'`

/** Which parts retention may empty. */
export interface RetentionRule {
  /** Days that a processed event is kept. */
  days: number
  /** Only parts that were archived. */
  archivedOnly: boolean
}

/** Resolves with the parts that may be emptied now, the oldest first. */
export async function findDueParts(db: Queryable, { days, archivedOnly }: RetentionRule): Promise<PartRange[]> {
  const { rows } = await db.query(
    `SELECT l.part, l.from_seq AS "from", l.until_seq AS until FROM ledger_parts l
     WHERE l.dropped_at IS NULL AND ${IS_CLOSED} AND NOT ${IS_BEING_DROPPED} AND (${IS_HELD_BACK}) IS NOT TRUE
       AND (l.archived_at IS NOT NULL OR NOT $2)
       AND (l.looked_at IS NULL OR l.looked_at < now() - ${REST})
       AND coalesce(${YOUNGEST}, CASE WHEN l.emptied_at IS NULL THEN l.made_at ELSE '-infinity' END) < now() - $1 * ${DAY}
       AND ${IS_BELOW_WATERMARKS}
     ORDER BY l.from_seq`,
    [days, archivedOnly],
  )
  return rows
}
