/** `tenants`: the tenants of an installation, isolated from each other. */

import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { recordAudit } from './audit-log.js'

/** The tenant that always exists. It operates the installation: only its keys see the whole pipeline. */
export const OPERATOR_TENANT = 'default'

/** What a tenant may send in a second, with all keys and to all ingest processes together; `null` means unlimited. */
export interface Quota {
  eventsPerSecond: number | null
  bytesPerSecond: number | null
}

export interface Tenant extends Quota {
  id: string
  createdAt: Date
}

const COLUMNS = `
  tenant_id AS id, created_at AS "createdAt", events_per_second AS "eventsPerSecond", bytes_per_second AS "bytesPerSecond"`

/** The tenant has reached the limit for something. The message says which, and what to do. */
export class TenantLimitError extends Error {
  override name = 'TenantLimitError'
}

/**
 * Rejects with TenantLimitError if `count`, a statement with the tenant as $1, counts more than `limit`. Call it in the
 * transaction that has added a row, after `lockTenant`, so that the next transaction counts that row, too.
 */
export async function requireWithin(
  tx: Queryable,
  tenantId: string,
  { count, limit, what }: { count: string; limit: number; what: string },
): Promise<void> {
  const { rows } = await tx.query(`SELECT (${count}) > $2::integer AS beyond`, [tenantId, limit])
  if (rows[0].beyond) throw new TenantLimitError(`A tenant may have ${limit} ${what}`)
}

/**
 * Makes transactions that count a tenant's rows run one after another, until each ends. It does not block foreign-key
 * references to the tenant.
 */
export async function lockTenant(tx: Queryable, tenantId: string): Promise<void> {
  await tx.query('SELECT FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE', [tenantId])
}

/** Creates a tenant. Resolves with undefined if the name exists. */
export async function createTenant(db: Db, id: string, actor: string): Promise<Tenant | undefined> {
  return withTransaction(db, async (tx) => {
    const { rows } = await tx.query(
      `INSERT INTO tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
      [id],
    )
    if (rows[0]) await audit(tx, id, 'create-tenant', `tenant ${id}`, actor)
    return rows[0]
  })
}

/**
 * Changes the quota of a tenant; it takes effect within five seconds. Resolves with undefined if there is no such
 * tenant.
 */
export async function setQuota(db: Db, id: string, quota: Quota, actor: string): Promise<Tenant | undefined> {
  const { eventsPerSecond, bytesPerSecond } = quota
  return withTransaction(db, async (tx) => {
    const { rows } = await tx.query(
      `UPDATE tenants SET events_per_second = $2, bytes_per_second = $3 WHERE tenant_id = $1 RETURNING ${COLUMNS}`,
      [id, eventsPerSecond, bytesPerSecond],
    )
    const subject = `tenant ${id}: ${eventsPerSecond ?? 'any'} events/s, ${bytesPerSecond ?? 'any'} bytes/s`
    if (rows[0]) await audit(tx, id, 'set-quota', subject, actor)
    return rows[0]
  })
}

async function audit(tx: Queryable, tenantId: string, action: string, subject: string, actor: string): Promise<void> {
  await recordAudit(tx, { tenantId, actor, action, subject, filter: {}, count: 0, reason: null })
}

/** Resolves with all tenants, by name. */
export async function listTenants(db: Queryable): Promise<Tenant[]> {
  const { rows } = await db.query(`SELECT ${COLUMNS} FROM tenants ORDER BY tenant_id`)
  return rows
}
