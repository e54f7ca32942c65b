/**
 * Makes parts of the ledger before events need them. Without a part, events cannot be accepted (503) until one is made.
 */
import { sql } from 'kysely'
import { ADVISORY_LOCKS } from '../server/advisory-locks.js'
import { asOwner } from '../server/as-owner.js'
import type { Queryable } from '../server/connect.js'
import { MIN_PART_EVENTS, makePart, PARTS_AHEAD } from '../server/to-parts.js'

/** How far the parts reach, and what their width depends on. */
export interface Reach {
  /** The last seq that was assigned. */
  lastSeq: number
  /** The first seq for which there is no part. */
  end: number
  /** The parts beyond the one that takes new events. */
  ahead: number
  /** Events accepted in a day, recently; 0 if that is unknown. */
  perDay: number
  /** A part has taken its first events, and it is not yet recorded since when (`recordOpened`). */
  newlyOpened: boolean
}

/** How wide new parts are. */
export interface Width {
  /** Seqs of a part; 0: from the other fields. */
  partEvents: number
  /** Days that events are kept; 0: forever. */
  keptDays: number
}

/** About how many parts there are at a time: a statement may lock all of them. */
const PARTS = 25

/** With events that are kept forever, a new part has this share of the seqs before it: so their number stays small. */
const SHARE_OF_ALL = 1 / 8

/** The most parts that one round makes. */
const MADE_AT_ONCE = 50

/** Resolves with how far the parts reach; undefined before the tables are in parts. */
export async function readReach(db: Queryable): Promise<Reach | undefined> {
  const { rows } = await db.query({
    name: 'read-reach',
    text: `
      WITH now_at AS (SELECT coalesce(pg_sequence_last_value(sequence::regclass), 0) AS seq FROM ledger WHERE stage = 'parts'),
           since AS (
             SELECT from_seq, extract(epoch FROM now() - opened_at) / 86400 AS days FROM ledger_parts
             WHERE opened_at IS NOT NULL
             ORDER BY opened_at > now() - interval '1 day', abs(extract(epoch FROM now() - interval '1 day' - opened_at)) LIMIT 1)
      SELECT now_at.seq AS last_seq,
             (SELECT coalesce(max(until_seq), 0) FROM ledger_parts) AS end,
             (SELECT count(*) FROM ledger_parts WHERE from_seq > now_at.seq + 1)::integer AS ahead,
             EXISTS (SELECT FROM ledger_parts WHERE from_seq <= now_at.seq AND opened_at IS NULL) AS newly_opened,
             coalesce((SELECT (now_at.seq - from_seq) / greatest(days, 0.04) FROM since), 0)::float8 AS per_day
      FROM now_at`,
  })
  const [row] = rows
  return (
    row && {
      lastSeq: row.last_seq,
      end: row.end,
      ahead: row.ahead,
      perDay: row.per_day,
      newlyOpened: row.newly_opened,
    }
  )
}

/** Returns how many seqs the next part has. */
export function widthOf(
  { lastSeq, perDay }: Pick<Reach, 'lastSeq' | 'perDay'>,
  { partEvents, keptDays }: Width,
): number {
  if (partEvents > 0) return partEvents
  const wanted = keptDays > 0 ? (perDay * keptDays) / PARTS : lastSeq * SHARE_OF_ALL
  return Math.max(MIN_PART_EVENTS, Math.ceil(wanted))
}

/** Returns how many parts must be ahead if `arriving` events may come before the next ones are made. */
export function neededAhead(reach: Reach, width: Width, arriving: number): number {
  const beyondEnd = reach.lastSeq + arriving + 1 - reach.end
  return Math.max(PARTS_AHEAD, reach.ahead + Math.ceil(beyondEnd / widthOf(reach, width)))
}

/**
 * Makes parts until `ahead` of them are ahead of `reach.lastSeq`. Resolves with how many it made: 0 if another process
 * is making some. Rejects with SQLSTATE 55P03 if a table is locked for long: try again later.
 */
export async function makeAhead(url: string, reach: Reach, width: Width, ahead = PARTS_AHEAD): Promise<number> {
  const wide = widthOf(reach, width)
  return asOwner(url, (db) =>
    db.transaction().execute(async (tx) => {
      const { rows: locks } = await sql<{ free: boolean }>`
        SELECT pg_try_advisory_xact_lock(${ADVISORY_LOCKS.parts}) AS free`.execute(tx)
      if (!locks[0]!.free) return 0
      const { rows } = await sql<Record<'last' | 'end' | 'there', string>>`
        SELECT max(part) AS last, max(until_seq) AS end, count(*) FILTER (WHERE from_seq > ${reach.lastSeq} + 1) AS there
        FROM ledger_parts`.execute(tx)
      const [last, end, there] = [Number(rows[0]!.last), Number(rows[0]!.end), Number(rows[0]!.there)]
      const missing = Math.min(ahead - there, MADE_AT_ONCE)
      for (let n = 0; n < missing; n++) {
        await makePart(tx, { part: last + 1 + n, from: end + n * wide, until: end + (n + 1) * wide })
      }
      return Math.max(0, missing)
    }),
  )
}

/** Records since when each part has taken events. */
export async function recordOpened(db: Queryable): Promise<void> {
  await db.query(`
    UPDATE ledger_parts SET opened_at = now()
    WHERE opened_at IS NULL AND from_seq <= (SELECT coalesce(pg_sequence_last_value(sequence::regclass), 0) FROM ledger)`)
}
