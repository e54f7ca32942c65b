/**
 * Generations of windows and joins. A new version of a definition builds a generation from the log, beside the one that
 * people see. It emits nothing for the part of the log that the former one has read. When it has come as far, it replaces
 * that one. The former one of a partition is the last that has emitted something: the one that people see, or a later
 * one that was replaced before it was shown.
 */
import type { Generation } from '../log/generation.js'
import type { Db, Queryable } from '../server/connect.js'
import { deletePiece, deleteState, forgetAbove } from './move.js'

/** What the database keeps about the definition of a window or a join. Times are in microseconds. */
export interface StateDefinition {
  kind: 'window' | 'join'
  /** Of everything that its state depends on. */
  hash: string
  outOfOrderness: bigint
  /** `undefined`: time never passes without events. */
  idle: bigint | undefined
}

/** No worker can take this epoch: the cursor moves no more. */
const ENDED = 2n ** 63n - 1n

/**
 * Begins to build a generation, once the batches of the former ones that are being written have ended: those are read
 * no more. `start` has the position to begin from in each partition; if undefined, it begins where the former generation
 * has begun.
 */
export async function beginGeneration(
  tx: Queryable,
  { groupId, generation, building }: Generation & { building: number | null },
  { hash, outOfOrderness, idle }: StateDefinition,
  start: ReadonlyMap<number, number> | undefined,
): Promise<void> {
  const last = building ?? generation
  await endEpochs(tx, groupId)
  await tx.query(
    'UPDATE consumer_groups SET hash = $2, out_of_orderness = $3, idle = $4, building = $5 WHERE group_id = $1',
    [groupId, hash, outOfOrderness, idle, last + 1],
  )
  // Where the last generation was still silent, the one before it has emitted what there is.
  const { rows } = await tx.query(
    `INSERT INTO group_cursors (group_id, generation, partition, position, began, silent_until, unpublished, former)
     SELECT group_id, $3 + 1, partition, begin, begin, position, unpublished, generation
     FROM (SELECT c.*, greatest(low_position, coalesce(given.start, c.began)) AS begin
           FROM group_cursors last
           JOIN group_cursors c ON c.group_id = last.group_id AND c.partition = last.partition AND c.generation =
             CASE WHEN last.generation = $2 OR last.position > last.silent_until THEN last.generation ELSE last.former END
           JOIN log_starts ON log_starts.partition = c.partition
           LEFT JOIN unnest($4::smallint[], $5::bigint[]) AS given(partition, start) ON given.partition = c.partition
           WHERE last.group_id = $1 AND last.generation = $3) former
     RETURNING partition, position`,
    [groupId, generation, last, [...(start?.keys() ?? [])], [...(start?.values() ?? [])]],
  )
  await forgetAbove(tx, groupId, new Map(rows.map(({ partition, position }) => [partition, position])))
  await deleteAbandoned(tx, groupId)
}

/** Deletes generations that were being built and have emitted nothing. */
async function deleteAbandoned(tx: Queryable, groupId: number): Promise<void> {
  const { rows } = await tx.query(
    `SELECT DISTINCT c.generation FROM group_cursors c JOIN consumer_groups g USING (group_id)
     WHERE group_id = $1 AND c.generation > g.generation AND c.generation < g.building
       AND NOT EXISTS (SELECT FROM group_cursors b
                       WHERE b.group_id = c.group_id AND b.generation = g.building AND b.former = c.generation)`,
    [groupId],
  )
  for (const { generation } of rows) {
    await deleteState(tx, groupId, generation)
    await deleteCursors(tx, { groupId, generation })
  }
}

/** Ends the epochs of all cursors of a group, in the order in which batches lock them. */
const endEpochs = (tx: Queryable, groupId: number) =>
  tx.query(
    `WITH locked AS (
       SELECT generation, partition FROM group_cursors WHERE group_id = $1 ORDER BY partition, generation FOR UPDATE)
     UPDATE group_cursors c SET epoch = $2 FROM locked
     WHERE c.group_id = $1 AND c.generation = locked.generation AND c.partition = locked.partition`,
    [groupId, ENDED],
  )

/** Something of a generation that its watermark has passed, where it has come no further than the former one. */
const due = (table: string, timer: string) => `
  SELECT FROM group_cursors c JOIN group_watermarks w USING (group_id, generation, partition)
  JOIN ${table} s ON s.group_id = w.group_id AND s.generation = w.generation AND s.partition = w.partition
    AND s.tenant_id = w.tenant_id AND s.${timer} <= w.watermark
  WHERE c.group_id = g.group_id AND c.generation = g.building AND c.position <= c.silent_until`

/**
 * Shows the generation that is being built instead of the former one, if it has come as far in every partition, and has
 * ended what it had passed by then: what the former one has left open is known as long as that is there. Resolves with
 * whether it is shown now.
 */
export async function showGeneration(db: Db, { groupId, generation }: Generation): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'show-generation',
    text: `
      UPDATE consumer_groups g SET generation = building, building = NULL
      WHERE group_id = $1 AND building = $2
        AND NOT EXISTS (SELECT FROM group_cursors c
                        WHERE c.group_id = g.group_id AND c.generation = g.building AND c.position < c.silent_until)
        AND NOT EXISTS (${due('window_state', 'close_at')})
        AND NOT EXISTS (${due('join_rows', 'expires_at')})`,
    values: [groupId, generation],
  })
  return rowCount === 1
}

/** Deletes a piece of what former generations have left: call it until `readGroup` says that nothing is left. */
export async function deleteLeftovers(db: Db, groupId: number): Promise<void> {
  const { rows } = await db.query(
    `SELECT DISTINCT c.generation FROM group_cursors c JOIN consumer_groups g USING (group_id)
     WHERE group_id = $1 AND c.generation < g.generation`,
    [groupId],
  )
  for (const { generation } of rows) {
    if (!(await deletePiece(db, groupId, generation))) await deleteCursors(db, { groupId, generation })
  }
}

const deleteCursors = (db: Queryable, { groupId, generation }: Generation) =>
  db.query('DELETE FROM group_cursors WHERE group_id = $1 AND generation = $2', [groupId, generation])
