/**
 * `group_cursors`: how far a consumer group has come in each partition. The cursor moves in the transaction of the
 * effects, as a comparison with its former value: so it is the fence against former owners as well, and a batch that is
 * run again after its COMMIT finds the cursor moved.
 */
import type { Generation } from '../log/generation.js'
import type { Queryable } from '../server/connect.js'
import type { GroupLease } from './leases.js'

/** The cursor of a partition, as its owner begins with it. */
export interface Cursor {
  partition: number
  /** The last position handled. */
  position: number
  /** Partitions that may have events of this group which are in no stream. */
  unpublished: number[]
  /** Up to this position, a former generation has emitted the results. */
  silentUntil: number
}

/** A group as its lanes see it. */
export interface WatchedGroup extends Generation {
  version: number
  /** Why it is paused; `null` while it runs. */
  pausedFor: string | null
  /** A reset waits: see `performReset`. */
  resets: boolean
  /** The generation is being built: people see the former one. */
  isBuilding: boolean
  /** A former generation has left rows. */
  hasLeftovers: boolean
}

/** Resolves with a group; undefined if it was deleted. */
export async function readGroup(db: Queryable, groupId: number): Promise<WatchedGroup | undefined> {
  const { rows } = await db.query({
    name: 'read-group',
    text: `
      SELECT group_id AS "groupId", coalesce(building, generation) AS generation, version, paused_for AS "pausedFor",
             reset_to IS NOT NULL AS resets, building IS NOT NULL AS "isBuilding",
             EXISTS (SELECT FROM group_cursors c
                     WHERE c.group_id = g.group_id AND c.generation < g.generation) AS "hasLeftovers"
      FROM consumer_groups g WHERE group_id = $1`,
    values: [groupId],
  })
  return rows[0]
}

/**
 * Begins the epochs of these leases, which fences off former owners. Resolves with the cursors of those whose epoch has
 * not ended already, and on which no former owner is still working.
 */
export async function beginCursors(
  db: Queryable,
  { groupId, generation }: Generation,
  leases: readonly GroupLease[],
): Promise<Cursor[]> {
  const { rows } = await db.query({
    name: 'begin-cursors',
    text: `
      WITH locked AS (
        SELECT partition, begun.epoch FROM group_cursors c
        JOIN unnest($3::smallint[], $4::bigint[]) AS begun(partition, epoch) USING (partition)
        WHERE group_id = $1 AND generation = $2 AND c.epoch <= begun.epoch
        ORDER BY partition FOR UPDATE OF c SKIP LOCKED)
      UPDATE group_cursors c SET epoch = locked.epoch FROM locked
      WHERE c.group_id = $1 AND c.generation = $2 AND c.partition = locked.partition
      RETURNING c.partition, c.position, c.unpublished, c.silent_until AS "silentUntil"`,
    values: [groupId, generation, leases.map((l) => l.partition), leases.map((l) => l.epoch)],
  })
  return rows
}

/** A move of a cursor, from one position to another or to the same. */
export interface Move {
  partition: number
  epoch: number
  from: number
  to: number
}

/**
 * Moves cursors, and locks them until the transaction ends. Resolves with the partitions whose cursor is elsewhere, or
 * has another owner by now: nothing may be written for them.
 */
export async function moveCursors(
  tx: Queryable,
  { groupId, generation }: Generation,
  moves: readonly Move[],
): Promise<Set<number>> {
  const { rows } = await tx.query({
    name: 'move-cursors',
    text: `
      WITH locked AS (
        SELECT partition, move.after FROM group_cursors c
        JOIN unnest($3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS move(partition, epoch, position, after)
          USING (partition, epoch, position)
        WHERE group_id = $1 AND generation = $2 ORDER BY partition FOR UPDATE OF c)
      UPDATE group_cursors c SET position = locked.after, moved_at = now() FROM locked
      WHERE c.group_id = $1 AND c.generation = $2 AND c.partition = locked.partition
      RETURNING c.partition`,
    values: [
      ...[groupId, generation, moves.map((m) => m.partition), moves.map((m) => m.epoch)],
      ...[moves.map((m) => m.from), moves.map((m) => m.to)],
    ],
  })
  const moved = new Set(rows.map((row) => row.partition))
  return new Set(moves.map(({ partition }) => partition).filter((partition) => !moved.has(partition)))
}

/**
 * Records into which partitions the events of a partition have led to emitted ones. Call it in the transaction that
 * inserts those: after a crash before they are published, the next owner finds the partitions here.
 */
export async function recordUnpublished(
  tx: Queryable,
  { groupId, generation }: Generation,
  partition: number,
  targets: readonly number[],
): Promise<void> {
  await tx.query({
    name: 'record-unpublished',
    text: `
      UPDATE group_cursors SET unpublished = $4::smallint[]
      WHERE group_id = $1 AND generation = $2 AND partition = $3`,
    values: [groupId, generation, partition, targets],
  })
}

/** Forgets the recorded partitions of the cursors that this owner still has: what it emitted is published. */
export async function forgetUnpublished(
  db: Queryable,
  groupId: number,
  leases: readonly Pick<GroupLease, 'partition' | 'epoch'>[],
): Promise<void> {
  await db.query({
    name: 'forget-unpublished',
    text: `
      UPDATE group_cursors c SET unpublished = '{}'
      FROM unnest($2::smallint[], $3::bigint[]) AS mine(partition, epoch)
      WHERE group_id = $1 AND c.partition = mine.partition AND c.epoch = mine.epoch
        AND unpublished <> '{}'`,
    values: [groupId, leases.map((l) => l.partition), leases.map((l) => l.epoch)],
  })
}

/** Pauses a group, unless it is paused already. */
export async function pauseGroup(db: Queryable, groupId: number, reason: string, by: string): Promise<void> {
  await db.query({
    name: 'pause-group',
    text: `
      UPDATE consumer_groups SET paused_for = $2, paused_by = $3, paused_at = now()
      WHERE group_id = $1 AND paused_for IS NULL`,
    values: [groupId, reason, by],
  })
}
