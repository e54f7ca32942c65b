/**
 * `partition_marks`: whether a partition has accepted events that its stream lacks.
 *
 * The mark is in a separate row that no settling transaction locks, so ingest never waits for one. The fence reads the
 * mark without a lock, and its snapshot is enough. Say E1 was accepted without being published, and E2 is a later event
 * of its key. E2 was sent after E1's 202, so E2 was added to the stream after E1's mark was committed. A worker that
 * has read E2 from the stream did so before its fence statement began, so that statement sees the mark. If the fence
 * does not see the mark, the batch has only events that were added to the stream before the mark, and may be committed.
 */
import type { Queryable } from '../server/connect.js'
import type { Epoch } from './partitions.js'

/**
 * Records that these partitions have accepted events that are not in their streams. It must be committed before the 202
 * is sent: from then on the owner's fence settles nothing more from the stream until the owner has caught up. The rows
 * are locked in the order of their ids, so two ingest processes that mark the same partitions cannot deadlock.
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

/**
 * Resolves with those of the partitions that are dirty. Workers call it regularly, so that unpublished events need not
 * wait for the next batch to be noticed.
 */
export async function findDirty(db: Queryable, partitions: readonly number[]): Promise<number[]> {
  const { rows } = await db.query({
    name: 'find-dirty',
    text: 'SELECT id FROM partition_marks WHERE id = ANY($1::smallint[]) AND dirty > 0',
    values: [partitions],
  })
  return rows.map((row) => row.id)
}

/**
 * Records that the stream of this Redis process is complete again. Resolves with false, with nothing changed, if the
 * mark has changed since `dirty` was read or the epoch has ended. The mark and the run id change together, and the
 * partition's row is locked first, so no other owner can begin in between.
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
