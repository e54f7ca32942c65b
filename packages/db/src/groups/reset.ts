/**
 * Resets of consumer groups: the cursors go to another place of the log. For a group in code, a worker does it in one
 * transaction with what the definition's `reset` undoes, because only a worker has the definition: until then the reset
 * waits in the row of its group. For a group that a program reads over HTTP it is done at once.
 */
import { failureOf } from '@eventflow/core'
import { toldText } from '../ledger/told.js'
import { type Beginning, positionsOf } from '../log/beginning.js'
import { readLogEnds } from '../log/read-log.js'
import { type Db, type Queryable, RolledBackError, type Transaction, withTransaction } from '../server/connect.js'
import { isCancelled, sqlErrorKind } from '../server/sql-errors.js'
import { countStretches, type StretchCount } from './count.js'
import {
  auditGroup,
  findGroupRow,
  type GroupName,
  type GroupRow,
  GroupStateError,
  lockGroup,
  lockResetting,
  type ResetRequest,
  readGenerationOf,
} from './group-row.js'
import { deleteState, forgetAbove, lockCursors, moveLocked, type Positions } from './move.js'
import type { GroupChange } from './operate.js'

/** Where a group is to begin again. */
export interface ResetTarget {
  to: Beginning
  /** The group emits its events as new ones: those that it emitted before count as others. */
  emitNew: boolean
}

/** What a reset would do in one partition. */
export interface ResetStep {
  partition: number
  from: number
  to: number
  /** The events in between: they would be handled again if `to` is lower, and skipped if it is higher. */
  events: Omit<StretchCount, 'ageSeconds'>
}

/**
 * Resolves with what a reset would do, or undefined if there is no such group; changes nothing. Counts up to 10,000
 * entries of each partition. Rejects with GroupStateError as `resetConsumerGroup` does.
 */
export async function rehearseReset(db: Db, name: GroupName, target: ResetTarget): Promise<ResetStep[] | undefined> {
  const group = await findGroupRow(db, name)
  if (!group) return undefined
  const { groupId } = group
  const targets = await targetsOf(db, group, target)
  const { rows } = await db.query(
    `SELECT partition, position FROM group_cursors WHERE group_id = $1 AND generation = $2 ORDER BY partition`,
    [groupId, readGenerationOf(group)],
  )
  const moves: { partition: number; from: number; to: number }[] = rows.map(({ partition, position }) => {
    return { partition, from: position, to: targets.get(partition)! }
  })
  const counts = await countStretches(
    db,
    moves.map(({ partition, from, to }) => {
      return { groupId, partition, after: Math.min(from, to), until: Math.max(from, to) }
    }),
  )
  return moves.map((move, i) => ({ ...move, events: { events: counts[i]!.events, more: counts[i]!.more } }))
}

/**
 * Resets a group, or asks its workers to. Resolves with the group, whose `resetTo` is `null` if it is done; undefined if
 * there is none. A reset replaces one that waits. Rejects with GroupStateError if there is no such place in the log, or
 * if `emitNew` is set and the group cannot emit.
 */
export function resetConsumerGroup(
  db: Db,
  { by, ...change }: GroupChange & ResetTarget,
): Promise<GroupRow | undefined> {
  return withTransaction(db, async (tx) => {
    const group = await lockGroup(tx, change)
    if (!group) return undefined
    const { to, emitNew } = change
    const request: ResetRequest = { to, emitNew, positions: [...(await targetsOf(tx, group, change))] }
    const isNow = group.kind === 'external'
    const { rows } = await tx.query(
      `UPDATE consumer_groups
       SET reset_to = $2, reset_by = $3, reset_at = date_trunc('milliseconds', clock_timestamp()), reset_error = NULL
       WHERE group_id = $1 RETURNING reset_at AS "resetAt"`,
      [group.groupId, isNow ? null : JSON.stringify(request), by],
    )
    const place = typeof to === 'string' ? to : 'time' in to ? to.time : `position ${to.position}`
    const more = `to ${place}${emitNew ? ', emitting as new' : ''}`
    await auditGroup(tx, group, { by, action: 'reset-group', more })
    if (isNow) await carryOut(tx, group, request, async () => {})
    return { ...group, resetTo: isNow ? null : request, resetBy: by, resetAt: rows[0].resetAt, resetError: null }
  })
}

/**
 * Performs the reset that waits for a group. `undo` runs in its transaction, before the cursors move. Resolves with
 * `none` if no reset waits, or another worker performs it; with `failed` if `undo` has failed: then nothing has changed,
 * and the reason is in the row of the group. Rejects if Postgres or another transaction is in the way: then the reset
 * still waits. Call it also while the group is paused.
 */
export async function performReset(
  db: Db,
  groupId: number,
  undo: (tx: Transaction) => Promise<void>,
): Promise<'done' | 'failed' | 'none'> {
  let askedAt: Date | null = null
  const work = async (tx: Transaction) => {
    const group = await lockResetting(tx, groupId)
    if (!group) return 'none'
    askedAt = group.resetAt
    await carryOut(tx, group, group.resetTo!, () =>
      undo(tx).catch((thrown) => {
        throw new UndoError(thrown)
      }),
    )
    return 'done'
  }
  try {
    return await withTransaction(db, work, { resetting: true })
  } catch (error) {
    // The latter: `undo` has caught the error that ended the transaction.
    if (!(error instanceof UndoError || error instanceof RolledBackError)) throw error
    const thrown = error instanceof UndoError ? error.thrown : error
    const mayPass = isPassing(thrown)
    await recordFailure(db, { groupId, askedAt, mayPass }, thrown)
    if (mayPass) throw thrown
    return 'failed'
  }
}

/** `undo` has failed. What it threw may be any value. */
class UndoError extends Error {
  readonly thrown: unknown

  constructor(thrown: unknown) {
    super()
    this.thrown = thrown
  }
}

/** Whether the same may succeed later. A statement of `undo` that takes too long will do so again. */
function isPassing(error: unknown): boolean {
  const kind = sqlErrorKind(error)
  return kind === 'conflict' || (kind === 'infrastructure' && !isCancelled(error))
}

async function recordFailure(
  db: Queryable,
  { groupId, askedAt, mayPass }: { groupId: number; askedAt: Date | null; mayPass: boolean },
  error: unknown,
): Promise<void> {
  const { errorClass, message } = failureOf(error, 'handle')
  await db.query(
    `UPDATE consumer_groups SET reset_error = $3, reset_to = CASE WHEN $4 THEN reset_to END
     WHERE group_id = $1 AND reset_at = $2 AND reset_to IS NOT NULL`,
    [groupId, askedAt, toldText(`${errorClass}: ${message}`), mayPass],
  )
}

/**
 * Moves the cursors to the positions that were found when the reset was asked for, or to the beginning of the log if
 * that lies behind them by now.
 */
async function carryOut(
  tx: Transaction,
  group: GroupRow,
  { positions, emitNew }: ResetRequest,
  undo: () => Promise<void>,
): Promise<void> {
  const wanted = new Map(positions)
  const cursors = await lockCursors(tx, group)
  const targets = new Map(
    cursors.map(({ partition, position, low }) => [partition, Math.max(low, wanted.get(partition) ?? position)]),
  )
  // First: `undo` must see the effects of all events, also of those that were parked.
  await forgetAbove(tx, group.groupId, targets)
  await undo()
  const hasState = group.kind === 'window' || group.kind === 'join'
  if (hasState) await deleteState(tx, group.groupId, readGenerationOf(group))
  await tx.query(
    `UPDATE consumer_groups SET reset_to = NULL, reset_error = NULL, generation = generation + $2::integer
     WHERE group_id = $1`,
    [group.groupId, emitNew ? 1 : 0],
  )
  await moveLocked(tx, group, targets)
  if (hasState) await beginHere(tx, group)
  if (emitNew) {
    await tx.query('UPDATE group_cursors SET generation = generation + 1 WHERE group_id = $1 AND generation = $2', [
      group.groupId,
      group.generation,
    ])
  }
}

/** Records that the state of a window or a join begins where the cursors are now. */
async function beginHere(tx: Transaction, group: GroupRow): Promise<void> {
  await tx.query(
    `UPDATE group_cursors SET began = position, silent_until = CASE WHEN $3 THEN silent_until ELSE 0 END
     WHERE group_id = $1 AND generation = $2`,
    [group.groupId, readGenerationOf(group), group.building !== null],
  )
}

/** Resolves with the positions of a target in all partitions. Rejects with GroupStateError if it does not exist. */
async function targetsOf(db: Queryable, group: GroupRow, { to, emitNew }: ResetTarget): Promise<Positions> {
  if (emitNew && group.kind === 'external') {
    throw new GroupStateError(`The group ${group.name} is read by a program over HTTP: it emits no events`)
  }
  if (emitNew && group.building !== null) {
    throw new GroupStateError(`The group ${group.name} is being built anew from the log: until then it emits nothing`)
  }
  const targets = await positionsOf(db, to)
  if (typeof to === 'string' || 'time' in to) return targets
  const ends = await readLogEnds(db, [...targets.keys()])
  const end = Math.max(...ends.map(({ last }) => last))
  if (to.position > end) {
    throw new GroupStateError(`There is no position ${to.position} yet: the last one of the log is ${end}`)
  }
  return new Map(ends.map(({ partition, last }) => [partition, Math.min(last, targets.get(partition)!)]))
}
