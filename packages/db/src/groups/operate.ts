/** Pausing, resuming and deleting consumer groups. */
import { type Db, withTransaction } from '../server/connect.js'
import { auditGroup, type GroupName, type GroupRow, GroupStateError, lockGroup } from './group-row.js'
import { deleteRowsOf, deleteState, lockCursors, moveLocked } from './move.js'

/** An operator's change of a group. */
export interface GroupChange extends GroupName {
  by: string
}

/**
 * Pauses a group, which its workers notice within a second; the batch that they are handling is finished. Resolves with
 * the group as it was, or undefined if there is none. Rejects with GroupStateError if it is paused already.
 */
export function pauseConsumerGroup(
  db: Db,
  { reason, ...change }: GroupChange & { reason: string },
): Promise<GroupRow | undefined> {
  return withTransaction(db, async (tx) => {
    const group = await lockGroup(tx, change)
    if (!group) return undefined
    if (group.pausedFor !== null) {
      throw new GroupStateError(`The group ${group.name} is already paused by ${group.pausedBy}: ${group.pausedFor}`)
    }
    await tx.query(
      'UPDATE consumer_groups SET paused_for = $2, paused_by = $3, paused_at = now() WHERE group_id = $1',
      [group.groupId, reason, change.by],
    )
    await auditGroup(tx, group, { by: change.by, action: 'pause-group', reason })
    return group
  })
}

/**
 * Resumes a group. `skipLost`: where events were removed before the group has read them, it goes on behind them.
 * Resolves with the number of partitions in which it does, or undefined if there is no such group. Rejects with
 * GroupStateError if it is not paused, or if events were removed and `skipLost` is not set.
 */
export function resumeConsumerGroup(
  db: Db,
  { skipLost, ...change }: GroupChange & { skipLost: boolean },
): Promise<number | undefined> {
  return withTransaction(db, async (tx) => {
    const group = await lockGroup(tx, change)
    if (!group) return undefined
    if (group.pausedFor === null) throw new GroupStateError(`The group ${group.name} is not paused`)
    const behind = (await lockCursors(tx, group)).filter(({ position, low }) => position < low)
    // A program that reads over HTTP is told when it reads.
    if (behind.length > 0 && !skipLost && group.kind !== 'external') throw lostHistory(group, behind.length)
    const lost = skipLost ? behind : []
    await tx.query(
      'UPDATE consumer_groups SET paused_for = NULL, paused_by = NULL, paused_at = NULL WHERE group_id = $1',
      [group.groupId],
    )
    const more = lost.length > 0 ? { more: `without what was removed from ${partitions(lost.length)}` } : {}
    await auditGroup(tx, group, { by: change.by, action: 'resume-group', ...more })
    if (lost.length > 0) await moveLocked(tx, group, new Map(lost.map(({ partition, low }) => [partition, low])))
    return lost.length
  })
}

/**
 * Deletes a group with its cursors, parked events, dead letters, and what a window or a join holds. Resolves with the group as it was, or undefined if
 * there is none. Rejects with GroupStateError while a worker reads it.
 */
export function deleteConsumerGroup(db: Db, change: GroupChange): Promise<GroupRow | undefined> {
  return withTransaction(db, async (tx) => {
    const group = await lockGroup(tx, change)
    if (!group) return undefined
    const { rows: owners } = await tx.query(
      'SELECT owner FROM group_leases WHERE group_id = $1 AND owner IS NOT NULL AND lease_expires_at > now() LIMIT 1',
      [group.groupId],
    )
    if (owners.length > 0) throw inUse(group, owners[0].owner)
    // Waits for batches of former owners, whose rows refer to the group.
    await lockCursors(tx, group)
    await deleteRowsOf(tx, group.groupId)
    await deleteState(tx, group.groupId)
    await tx.query('DELETE FROM consumer_groups WHERE group_id = $1', [group.groupId])
    await auditGroup(tx, group, { by: change.by, action: 'delete-group' })
    return group
  })
}

const partitions = (count: number) => `${count} ${count === 1 ? 'partition' : 'partitions'}`

function lostHistory({ name }: GroupRow, count: number): GroupStateError {
  return new GroupStateError(
    `In ${partitions(count)}, events were removed before the group ${name} has read them: resume it with skip_lost to go on behind them, or reset it`,
  )
}

function inUse({ name }: GroupRow, owner: string): GroupStateError {
  return new GroupStateError(
    `The worker ${owner} reads the group ${name}: remove its definition and restart the workers, then delete it`,
  )
}
