/** `audit_log`: what operators did to events, keys and tenants. Append-only. */

import type { EventFilter } from '../ledger/event-filter.js'
import { asTenant } from '../server/as-tenant.js'
import type { Db, Queryable } from '../server/connect.js'

export interface AuditEntry {
  tenantId: string
  actor: string
  action: string
  /** The operation to which it belongs, if it has several steps. */
  operationId?: string
  /** The object of the action, if it is not events. */
  subject?: string
  filter: EventFilter
  /** The number of affected events. */
  count: number
  reason: string | null
}

/** Adds an entry. Call it in the transaction that carries out the action. */
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

/** A stored entry. */
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

/** Resolves with a page of entries, the newest first; `before` is the id to continue from. */
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
