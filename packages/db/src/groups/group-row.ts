/** `consumer_groups`, as operators find and lock them: by their names, within their tenants. */

import type { Beginning } from '../log/beginning.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db, Queryable } from '../server/connect.js'
import { type AuditEntry, recordAudit } from '../tenants/audit-log.js'
import { OPERATOR_TENANT } from '../tenants/tenants.js'

export interface GroupName {
  tenantId: string
  name: string
}

/** The kinds of groups with built-in state. */
export type StatefulKind = 'window' | 'join'

export interface GroupRow extends GroupName {
  groupId: number
  /** `external`: read by a program of the tenant over HTTP; the others by their definitions in the workers. */
  kind: 'consumer' | 'external' | StatefulKind
  version: number
  /** The generation that people see. */
  generation: number
  /** The generation that is built from the log, to replace the current one; `null` if there is none. */
  building: number | null
  /** The event types that it reads; all if empty. */
  types: string[]
  /** Why it is paused; `null` while it runs. */
  pausedFor: string | null
  pausedBy: string | null
  pausedAt: Date | null
  createdAt: Date
  /** Of a window or a join, in microseconds: how much later than others an event may arrive; `null` for other kinds. */
  outOfOrderness: number | null
  /** After how long without events windows close, in microseconds; `null`: never. */
  idle: number | null
  /** Where an operator wants it to begin again, until a worker has done it. */
  resetTo: ResetRequest | null
  /** Of the last reset that was asked for. */
  resetBy: string | null
  resetAt: Date | null
  /** Why the reset failed, or its last try; `null` if it did not. */
  resetError: string | null
}

/** A reset as it waits in the row of its group. */
export interface ResetRequest {
  to: Beginning
  /** It begins a new generation, whose emitted events are new. */
  emitNew: boolean
  /** The position of each partition, as it was found when the reset was asked for. */
  positions: [partition: number, position: number][]
}

/** The generation that is read: the one that is being built, if there is one. */
export const readGenerationOf = ({ generation, building }: Pick<GroupRow, 'generation' | 'building'>) =>
  building ?? generation

/** The group is in the wrong state for that. The message says in which, and what to do. */
export class GroupStateError extends Error {
  override name = 'GroupStateError'
}

const COLUMNS = `
  group_id AS "groupId", tenant_id AS "tenantId", name, kind, version, generation, building, types,
  paused_for AS "pausedFor", paused_by AS "pausedBy", paused_at AS "pausedAt", created_at AS "createdAt",
  out_of_orderness AS "outOfOrderness", idle, reset_to AS "resetTo", reset_by AS "resetBy", reset_at AS "resetAt",
  reset_error AS "resetError"`

/** Resolves with the groups of a tenant, the newest first; `before` is the id to continue from. */
export async function readGroupRows(
  db: Db,
  tenantId: string,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<GroupRow[]> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(
      `SELECT ${COLUMNS} FROM consumer_groups WHERE tenant_id = $1 AND ($2::bigint IS NULL OR group_id < $2)
       ORDER BY group_id DESC LIMIT $3`,
      [tenantId, before, limit],
    ),
  )
  return rows
}

/** Resolves with the groups that are defined in code, up to `limit`, by their names. */
export async function readRowsInCode(db: Queryable, limit: number): Promise<GroupRow[]> {
  const { rows } = await db.query(
    `SELECT ${COLUMNS} FROM consumer_groups WHERE tenant_id = $1 AND kind <> 'external' ORDER BY name LIMIT $2`,
    [OPERATOR_TENANT, limit],
  )
  return rows
}

/**
 * Resolves with the windows, or the joins, the newest first; `before` is the id to continue from. They are the
 * operator's, and read the events of all tenants.
 */
export async function readRowsOfKind(
  db: Queryable,
  kind: StatefulKind,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<GroupRow[]> {
  const { rows } = await db.query(
    `SELECT ${COLUMNS} FROM consumer_groups
     WHERE tenant_id = $1 AND kind = $2 AND ($3::bigint IS NULL OR group_id < $3) ORDER BY group_id DESC LIMIT $4`,
    [OPERATOR_TENANT, kind, before, limit],
  )
  return rows
}

/** Resolves with a window, or a join, or undefined. */
export async function findRowOfKind(db: Queryable, kind: StatefulKind, name: string): Promise<GroupRow | undefined> {
  const { rows } = await db.query(
    `SELECT ${COLUMNS} FROM consumer_groups WHERE tenant_id = $1 AND kind = $2 AND name = $3`,
    [OPERATOR_TENANT, kind, name],
  )
  return rows[0]
}

/** Resolves with a group, or undefined. */
export async function findGroupRow(db: Db, { tenantId, name }: GroupName): Promise<GroupRow | undefined> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(`SELECT ${COLUMNS} FROM consumer_groups WHERE tenant_id = $1 AND name = $2`, [tenantId, name]),
  )
  return rows[0]
}

/**
 * Locks a group against other operators until the transaction ends, and resolves with it, or undefined. Workers may
 * refer to it meanwhile.
 */
export async function lockGroup(tx: Queryable, { tenantId, name }: GroupName): Promise<GroupRow | undefined> {
  const { rows } = await tx.query(
    `SELECT ${COLUMNS} FROM consumer_groups WHERE tenant_id = $1 AND name = $2 FOR NO KEY UPDATE`,
    [tenantId, name],
  )
  return rows[0]
}

/**
 * Locks a group for which a reset waits, unless another transaction has locked it. Resolves with undefined if there is
 * nothing to do.
 */
export async function lockResetting(tx: Queryable, groupId: number): Promise<GroupRow | undefined> {
  const { rows } = await tx.query(
    `SELECT ${COLUMNS} FROM consumer_groups WHERE group_id = $1 AND reset_to IS NOT NULL
     FOR NO KEY UPDATE SKIP LOCKED`,
    [groupId],
  )
  return rows[0]
}

/** What an operator did to a group, for the audit log. */
export interface GroupAudit
  extends Pick<AuditEntry, 'action'>,
    Partial<Pick<AuditEntry, 'filter' | 'count' | 'reason'>> {
  by: string
  /** Further words about the group. */
  more?: string
}

/** Adds an entry about a group to the audit log, in the transaction of the change. */
export async function auditGroup(tx: Queryable, { tenantId, name }: GroupName, audit: GroupAudit): Promise<void> {
  const { by: actor, action, more, filter = {}, count = 0, reason = null } = audit
  const subject = `group ${name}${more === undefined ? '' : ` ${more}`}`
  await recordAudit(tx, { tenantId, actor, action, subject, filter, count, reason })
}
