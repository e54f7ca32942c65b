/** Where a reader of the log begins. */
import type { Queryable } from '../server/connect.js'
import { findPositions } from './find-positions.js'
import { readLogEnds } from './read-log.js'

/** Where a new group begins: at an end of the log, at what was settled at a time, or after a position. */
export type Beginning = 'earliest' | 'latest' | { time: string } | { position: number }

/** Resolves with the position from which to begin, for each partition: the first event that is read lies above it. */
export async function positionsOf(db: Queryable, from: Beginning): Promise<Map<number, number>> {
  const { rows } = await db.query('SELECT id FROM partitions ORDER BY id')
  const partitions = rows.map((row) => row.id as number)
  if (typeof from === 'object' && 'time' in from) {
    const places = await findPositions(db, from.time, partitions)
    return new Map(places.map(({ partition, after }) => [partition, after]))
  }
  const ends = await readLogEnds(db, partitions)
  return new Map(
    ends.map(({ partition, last, low }) => {
      if (typeof from === 'object') return [partition, Math.max(low, from.position)]
      return [partition, from === 'earliest' ? low : last]
    }),
  )
}
