/**
 * Moves the cursors of a group as an operator wants. A batch of a worker holds the lock of its cursor until it commits:
 * so the move waits for it, and what the worker has read by then is fenced off by the new epoch.
 */
import type { Queryable } from '../server/connect.js'
import { type GroupRow, readGenerationOf } from './group-row.js'

/** The last position handled, by partition. */
export type Positions = ReadonlyMap<number, number>

/** Rows that one statement deletes. */
const AT_ONCE = 10_000

/** A cursor, and the beginning of the log in its partition. */
export interface LockedCursor {
  partition: number
  position: number
  /** The highest position that was removed. */
  low: number
}

/** Locks all cursors of the generation that is read, in the order of the partitions, as everyone does who locks several. */
export async function lockCursors(
  tx: Queryable,
  group: Pick<GroupRow, 'groupId' | 'generation' | 'building'>,
): Promise<LockedCursor[]> {
  const { rows } = await tx.query(
    `SELECT c.partition, c.position, s.low_position AS low
     FROM group_cursors c JOIN log_starts s USING (partition)
     WHERE group_id = $1 AND generation = $2 ORDER BY c.partition FOR UPDATE OF c`,
    [group.groupId, readGenerationOf(group)],
  )
  return rows
}

/**
 * Moves cursors that are locked, and takes their partitions from their owners. Call it last in the transaction: leases
 * that stay locked could not be renewed.
 */
export async function moveLocked(tx: Queryable, group: GroupRow, to: Positions): Promise<void> {
  const values = [group.groupId, [...to.keys()], [...to.values()]]
  await tx.query(
    `UPDATE group_cursors c SET position = moved.position, epoch = epoch + 1, moved_at = now()
     FROM unnest($2::smallint[], $3::bigint[]) AS moved(partition, position)
     WHERE c.group_id = $1 AND c.generation = $4 AND c.partition = moved.partition`,
    [...values, readGenerationOf(group)],
  )
  await tx.query(
    `UPDATE group_leases l SET owner = NULL, epoch = epoch + 1
     FROM (SELECT partition FROM group_leases WHERE group_id = $1 AND partition = ANY($2::smallint[])
           ORDER BY partition FOR UPDATE) locked
     WHERE l.group_id = $1 AND l.partition = locked.partition`,
    values.slice(0, 2),
  )
}

/**
 * Forgets what a group has parked or failed to handle above these positions: it will read those events again. What lies
 * below stays, because it is not read again. Waits for transactions that handle parked events.
 */
export async function forgetAbove(tx: Queryable, groupId: number, positions: Positions): Promise<void> {
  const values = [groupId, [...positions.keys()], [...positions.values()]]
  const above = (table: string) => `
    SELECT e.seq FROM ${table} e JOIN unnest($2::smallint[], $3::bigint[]) AS kept(partition, position) USING (partition)
    WHERE e.group_id = $1 AND e.position > kept.position`
  await deleteAll(tx, 'group_parked', above('group_parked'), values)
  const unhandled = `${above('group_dead_letters')} AND e.status IN ('open', 'replaying')`
  await deleteAll(tx, 'group_dead_letters', unhandled, values)
}

const STATE_TABLES = ['window_state', 'join_rows', 'window_results', 'late_events', 'group_watermarks']

/** Deletes what a window or a join has counted and found: in one generation, or in all. */
export async function deleteState(db: Queryable, groupId: number, generation?: number): Promise<void> {
  while (await deletePiece(db, groupId, generation));
}

/** Deletes at most 10,000 rows of each table. Resolves with whether there may be more. */
export async function deletePiece(db: Queryable, groupId: number, generation?: number): Promise<boolean> {
  let more = false
  for (const table of STATE_TABLES) {
    const { rowCount } = await db.query(
      `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM ${table} WHERE group_id = $1 AND ($2::integer IS NULL OR generation = $2) LIMIT ${AT_ONCE}))`,
      [groupId, generation],
    )
    more ||= rowCount === AT_ONCE
  }
  return more
}

/** Deletes all parked events and dead letters of a group. */
export async function deleteRowsOf(tx: Queryable, groupId: number): Promise<void> {
  for (const table of ['group_parked', 'group_dead_letters']) {
    await deleteAll(tx, table, `SELECT e.seq FROM ${table} e WHERE e.group_id = $1`, [groupId])
  }
}

/** Deletes in pieces: no statement takes long, and the rows are locked in the order of their seqs. */
async function deleteAll(tx: Queryable, table: string, chosen: string, values: unknown[]): Promise<void> {
  const text = `
    WITH gone AS (${chosen} ORDER BY e.seq LIMIT ${AT_ONCE} FOR UPDATE OF e)
    DELETE FROM ${table} t USING gone WHERE t.group_id = $1 AND t.seq = gone.seq`
  let deleted: number | null
  do {
    deleted = (await tx.query(text, values)).rowCount
  } while (deleted === AT_ONCE)
}
