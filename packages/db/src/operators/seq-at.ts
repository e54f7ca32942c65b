/** Finds the position of a time in `raw_events` without an index by time. */
import { type Queryable, STATEMENT_TIMEOUT_MS } from '../server/connect.js'

/**
 * Events are accepted only approximately in the order of their seqs. The deviation is at most the time a statement may
 * take.
 */
const DISORDER_MS = 2 * STATEMENT_TIMEOUT_MS

// For each partition, because the seqs are indexed by partition only.
const ACCEPTED_FROM = `
  SELECT e.seq, e.accepted_at < $2::timestamptz + $3 * interval '1 millisecond' AS earlier
  FROM partitions p
  CROSS JOIN LATERAL (SELECT seq, accepted_at FROM raw_events WHERE partition = p.id AND seq >= $1 ORDER BY seq LIMIT 1) e
  ORDER BY e.seq LIMIT 1`

/** The range of stored seqs. */
interface Range {
  first: number
  last: number
}

/** Resolves with a seq such that all events accepted at `time` (RFC 3339) or later have it or a higher one. */
export function findFirstSeq(db: Queryable, time: string, stored: Range): Promise<number> {
  return halve(db, time, -DISORDER_MS, stored)
}

/** Resolves with a seq such that all events accepted before `time` have a lower one. */
export function findEndSeq(db: Queryable, time: string, stored: Range): Promise<number> {
  return halve(db, time, DISORDER_MS, stored)
}

/** Takes about 30 steps, each of which reads one event of each partition. */
async function halve(db: Queryable, time: string, marginMs: number, { first, last }: Range): Promise<number> {
  let low = first
  let high = last + 1
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const { rows } = await db.query({ name: 'accepted-from', text: ACCEPTED_FROM, values: [middle, time, marginMs] })
    if (rows[0]?.earlier) low = rows[0].seq + 1
    else high = middle
  }
  return low
}
