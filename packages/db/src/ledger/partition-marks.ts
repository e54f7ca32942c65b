/**
 * `partition_marks`: whether a partition has accepted events that its stream lacks.
 *
 * The mark has a row of its own that no settle transaction locks, so ingest never waits for one. The fence of a settle reads
 * the mark without a lock, and its snapshot is enough. Say E1 was accepted past the stream and E2 is a later event of its key:
 * E2 was sent after E1's 202, so E2 was added to the stream after E1's mark was committed. A settle that holds E2 has read it
 * from the stream before its fence statement began, so that statement sees the mark. A settle whose fence has not seen the
 * mark holds only events that were added to the stream before, and may end.
 */
import type { Queryable } from '../server/connect.js'
import type { Epoch } from './partitions.js'

/**
 * Says that something was accepted for these partitions that is not in their streams. Must be committed before the 202
 * leaves: from then on the owner's fence settles nothing more from the stream until it has caught up.
 * The rows are locked in the order of their ids: two ingests that mark the same partitions cannot wait for each other.
 */
export async function markDirty(db: Queryable, partitions: readonly number[]): Promise<void> {
  await db.query({
    name: 'mark-dirty',
    text: `
      UPDATE partition_marks SET dirty = dirty + 1
      WHERE id IN (SELECT id FROM partition_marks WHERE id = ANY($1::smallint[]) ORDER BY id FOR UPDATE)`,
    values: [partitions],
  })
}

/** Which of these partitions have a mark: what was accepted and not published must not wait for the next settle to be seen. */
export async function findDirty(db: Queryable, partitions: readonly number[]): Promise<number[]> {
  const { rows } = await db.query({
    name: 'find-dirty',
    text: 'SELECT id FROM partition_marks WHERE id = ANY($1::smallint[]) AND dirty > 0',
    values: [partitions],
  })
  return rows.map((row) => row.id)
}

/**
 * Says that the stream of this Redis process is whole again, unless something was accepted past it since `dirty` was read.
 * Gives whether it could be said. The mark and the run id change together, and only while the epoch holds: the partition's
 * row is locked first, so no other owner can begin in between.
 */
export async function markWhole(
  db: Queryable,
  { partition, epoch }: Epoch,
  { dirty, feedIdentity }: { dirty: number; feedIdentity: string | null },
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'mark-whole',
    text: `
      WITH held AS MATERIALIZED (SELECT id FROM partitions WHERE id = $1 AND epoch = $2 FOR UPDATE),
           cleared AS (UPDATE partition_marks SET dirty = 0 FROM held
                       WHERE partition_marks.id = held.id AND dirty = $3 RETURNING partition_marks.id)
      UPDATE partitions SET redis_run_id = $4 FROM cleared WHERE partitions.id = cleared.id`,
    values: [partition, epoch, dirty, feedIdentity],
  })
  return rowCount === 1
}
