/** Consumer groups as operators see them: how far each has come, who reads it, and what is left to do. */
import { readLogEnds } from '../log/read-log.js'
import type { Db, Queryable } from '../server/connect.js'
import { type Building, readBuilding, readFiguresOf, type StateFigures } from '../windows/figures.js'
import { countStretches, NO_END, type StretchCount } from './count.js'
import { findGroupRow, type GroupName, type GroupRow, readGroupRows, readRowsInCode } from './group-row.js'

/** A group in one partition. */
export interface GroupPartition {
  partition: number
  /** The worker that holds a valid lease; `null` if there is none. */
  owner: string | null
  /** The last position handled. */
  position: number
  /** The last position of the log, and the highest one that was removed from its beginning. */
  last: number
  low: number
  /** The events of its types above its position. */
  lag: StretchCount
  /** Events behind its position that are still to be handled. */
  parked: number
  /** Open dead letters. */
  deadLetters: number
}

export interface GroupState extends GroupRow {
  partitions: GroupPartition[]
}

/** A group with what it holds, if it is a window or a join. */
export interface WholeGroupState extends GroupState {
  state: StateFigures | null
  /** The generation that is being built, and how far it has come. */
  built: Building | null
}

/** Up to how many parked events, and open dead letters, of a group are counted. */
const MAX_COUNTED = 10_000

/**
 * Resolves with a page of a tenant's groups, the newest first; `before` is the id to continue from. The lag is counted
 * up to 10,000 entries of each partition, or fewer if many partitions of many groups lag: the cost is bounded.
 */
export async function listGroups(
  db: Db,
  tenantId: string,
  page: { before: number | undefined; limit: number },
): Promise<WholeGroupState[]> {
  return wholeStatesOf(db, await readGroupRows(db, tenantId, page))
}

/** The most groups that `listGroupsInCode` lists. */
const MAX_IN_CODE = 100

/** Resolves with the groups that are defined in code, by their names, at most 100. Counts as `listGroups` does. */
export async function listGroupsInCode(db: Db): Promise<GroupState[]> {
  return statesOf(db, await readRowsInCode(db, MAX_IN_CODE))
}

/** Resolves with one group, or undefined. */
export async function findGroup(db: Db, name: GroupName): Promise<WholeGroupState | undefined> {
  const group = await findGroupRow(db, name)
  return group && (await wholeStatesOf(db, [group]))[0]
}

async function wholeStatesOf(db: Db, rows: readonly GroupRow[]): Promise<WholeGroupState[]> {
  const groups = await statesOf(db, rows)
  // They are the operator's, who sees what they hold of all tenants.
  const figures = await readFiguresOf(db, rows)
  const building = await readBuilding(db, rows)
  return groups.map((group) => ({
    ...group,
    state: figures.get(group.groupId) ?? null,
    built: building.get(group.groupId) ?? null,
  }))
}

async function statesOf(db: Db, groups: readonly GroupRow[]): Promise<GroupState[]> {
  const ids = groups.map(({ groupId }) => groupId)
  const cursors = await readCursors(db, ids)
  const numbers = [...new Set(cursors.map(({ partition }) => partition))]
  const ends = new Map((await readLogEnds(db, numbers)).map((end) => [end.partition, end]))
  // Most groups are at the end of the log.
  const behind = cursors.filter(({ partition, position }) => position < ends.get(partition)!.last)
  const counts = await countStretches(
    db,
    behind.map(({ groupId, partition, position }) => ({ groupId, partition, after: position, until: NO_END })),
  )
  const lags = new Map(behind.map((cursor, i) => [cursor, counts[i]!]))
  const parked = await countRows(db, 'group_parked', ids)
  const deadLetters = await countRows(db, 'group_dead_letters', ids, `WHERE status = 'open'`)
  return groups.map((group) => ({
    ...group,
    partitions: cursors
      .filter(({ groupId }) => groupId === group.groupId)
      .map((cursor): GroupPartition => {
        const { groupId, partition, position, owner } = cursor
        const { last, low } = ends.get(partition)!
        return {
          ...{ partition, owner, position, last, low },
          lag: lags.get(cursor) ?? { events: 0, more: false, ageSeconds: 0 },
          parked: parked.get(placeOf(groupId, partition)) ?? 0,
          deadLetters: deadLetters.get(placeOf(groupId, partition)) ?? 0,
        }
      }),
  }))
}

interface Cursor {
  groupId: number
  partition: number
  position: number
  owner: string | null
}

async function readCursors(db: Queryable, groupIds: readonly number[]): Promise<Cursor[]> {
  const { rows } = await db.query(
    `SELECT group_id AS "groupId", partition, position, CASE WHEN lease_expires_at > now() THEN owner END AS owner
     FROM group_cursors c JOIN consumer_groups g USING (group_id) LEFT JOIN group_leases USING (group_id, partition)
     WHERE group_id = ANY($1::bigint[]) AND c.generation = coalesce(building, g.generation)
     ORDER BY group_id, partition`,
    [groupIds],
  )
  return rows
}

const placeOf = (groupId: number, partition: number) => `${groupId} ${partition}`

/** Counts rows of each group and partition, up to MAX_COUNTED of a group. */
async function countRows(
  db: Queryable,
  table: string,
  groupIds: readonly number[],
  where = 'WHERE true',
): Promise<Map<string, number>> {
  const { rows } = await db.query(
    `SELECT given.group_id AS "groupId", partition, count(*) AS count
     FROM unnest($1::bigint[]) AS given(group_id)
     CROSS JOIN LATERAL (SELECT partition FROM ${table} t ${where} AND t.group_id = given.group_id LIMIT ${MAX_COUNTED}) t
     GROUP BY 1, 2`,
    [groupIds],
  )
  return new Map(rows.map(({ groupId, partition, count }) => [placeOf(groupId, partition), count]))
}
