/** Finds places in the log by time. */
import type { Queryable } from '../server/connect.js'
import { readLogEnds } from './read-log.js'

/**
 * Resolves with the position, for each partition, after which the entries begin that were settled at `time` or later.
 * Positions follow the order of the commits and times the order of the statements, so entries that were settled within
 * the same seconds may be on either side.
 */
export async function findPositions(db: Queryable, time: Date): Promise<Map<number, number>> {
  const { rows: partitions } = await db.query('SELECT id FROM partitions ORDER BY id')
  const ends = await readLogEnds(
    db,
    partitions.map(({ id }) => id),
  )
  const ranges = ends.map(({ partition, low, last }) => ({ partition, low, high: last }))
  for (;;) {
    const open = ranges.filter(({ low, high }) => low < high)
    if (open.length === 0) break
    const middles = open.map(({ low, high }) => low + Math.floor((high - low) / 2))
    const { rows } = await db.query({
      name: 'find-positions',
      text: `
        SELECT next.position, next.processed_at >= $4 AS later
        FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS r(partition, after, until, number)
        LEFT JOIN LATERAL (
          SELECT position, processed_at FROM processed_events
          WHERE partition = r.partition AND position > r.after AND position <= r.until ORDER BY position LIMIT 1) next ON true
        ORDER BY number`,
      values: [open.map((r) => r.partition), middles, open.map((r) => r.high), time],
    })
    open.forEach((range, i) => {
      const { position, later } = rows[i]!
      // No entry above the middle, or one that is late enough: the place is not above the middle.
      if (position === null || later) range.high = middles[i]!
      else range.low = position
    })
  }
  return new Map(ranges.map(({ partition, low }) => [partition, low]))
}
