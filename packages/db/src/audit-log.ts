/** `audit_log`: what people did to the events of others. Append-only. */
import type { Queryable } from './connect.js'
import type { EventFilter } from './event-filter.js'

export interface AuditEntry {
  tenantId: string
  actor: string
  action: string
  operationId: string
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
      INSERT INTO audit_log (tenant_id, actor, action, operation_id, filter, count, reason)
      VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    values: [
      entry.tenantId,
      entry.actor,
      entry.action,
      entry.operationId,
      JSON.stringify(entry.filter),
      entry.count,
      entry.reason,
    ],
  })
}
