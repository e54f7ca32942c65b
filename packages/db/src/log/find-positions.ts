/** Finds the positions of a time in the log, which has no index by time. */
import type { Queryable } from '../server/connect.js'
import { firstEntries, type LogPlace, placesOf, readLogEnds } from './read-log.js'

/** The entries that a step looks at in each partition. If one is earlier than the time, so are those before it. */
const LOOKED_AT = 20

const READ_EARLIER = `
  SELECT max(position) FILTER (WHERE processed_at < $4::timestamptz) AS earlier
  FROM ${placesOf()} LEFT JOIN LATERAL ${firstEntries('position, processed_at')} e ON true
  GROUP BY place.number ORDER BY place.number`

/**
 * Resolves, for each of these partitions, with the last position before the first entry that was processed at `time`
 * (RFC 3339) or later: the beginning of the log if all entries were, and its end if none was.
 *
 * `processed_at` rises nearly, not strictly, with the position. The clock of the server may have been set back, so near
 * the time a few entries may be on the wrong side. And an event that is replayed keeps its position, but gets a new
 * `processed_at`: a few among others are passed over; where many in a row were replayed after `time`, the position may
 * be a lower one. So a reader may get more than it asked for, and hardly less.
 *
 * It halves the range of positions, and each step is one statement that reads 20 entries of each partition by an index:
 * about 30 steps.
 */
export async function findPositions(db: Queryable, time: string, partitions: readonly number[]): Promise<LogPlace[]> {
  const ranges = (await readLogEnds(db, partitions)).map(({ partition, low, last }) => {
    return { partition, low, end: last + 1 }
  })
  for (;;) {
    const open = ranges.filter(({ low, end }) => end - low > 1)
    if (open.length === 0) return ranges.map(({ partition, low }) => ({ partition, after: low }))
    const middles = open.map(({ low, end }) => Math.floor((low + end) / 2))
    const { rows } = await db.query({
      name: 'read-earlier-positions',
      text: READ_EARLIER,
      values: [open.map(({ partition }) => partition), middles.map((middle) => middle - 1), LOOKED_AT, time],
    })
    for (const [i, { earlier }] of rows.entries()) {
      if (earlier === null) open[i]!.end = middles[i]!
      else open[i]!.low = earlier
    }
  }
}

/**
 * Resolves with when the first entry of the log was processed, undefined if it has none. Retention has removed earlier
 * ones, or they are from before there were positions.
 */
export async function readLogBeginning(db: Queryable): Promise<Date | undefined> {
  const { rows } = await db.query({
    name: 'read-log-beginning',
    text: `
      SELECT min(e.processed_at) AS at FROM log_starts
      CROSS JOIN LATERAL (
        SELECT processed_at FROM processed_events p
        WHERE p.partition = log_starts.partition AND position > low_position ORDER BY position LIMIT 1) e`,
  })
  return rows[0].at ?? undefined
}
