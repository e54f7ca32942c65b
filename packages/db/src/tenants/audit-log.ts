/** `audit_log`: what people did to the events of others, to keys and to tenants. Append-only. */

import type { EventFilter } from '../ledger/event-filter.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db, Queryable } from '../server/connect.js'

export interface AuditEntry {
  tenantId: string
  actor: string
  action: string
  /** The operation it belongs to, where it is more than one step. */
  operationId?: string
  /** What it was done to, where that is no events. */
  subject?: string
  filter: EventFilter
  /** How many events it is about. */
  count: number
  reason: string | null
}

/** Writes down what is done; to be called in the transaction that does it. */
export async function recordAudit(tx: Queryable, entry: AuditEntry): Promise<void> {
  await tx.query({
    name: 'record-audit',
    text: `
      INSERT INTO audit_log (tenant_id, actor, action, operation_id, filter, count, reason, subject)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    values: [
      entry.tenantId,
      entry.actor,
      entry.action,
      entry.operationId,
      JSON.stringify(entry.filter),
      entry.count,
      entry.reason,
      entry.subject,
    ],
  })
}

/** An entry as it is kept. */
export interface KeptAuditEntry {
  id: number
  at: Date
  actor: string
  action: string
  operationId: string | null
  filter: EventFilter
  count: number
  reason: string | null
  subject: string | null
}

/** A page of what was done, the last first; `before` is the id to go on from. */
export async function listAuditLog(
  db: Db,
  tenantId: string,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<KeptAuditEntry[]> {
  const { rows } = await asTenant(db, tenantId, (tx) =>
    tx.query(
      `SELECT id, at, actor, action, operation_id AS "operationId", filter, count, reason, subject
     FROM audit_log
     WHERE tenant_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
      [tenantId, before, limit],
    ),
  )
  return rows
}
