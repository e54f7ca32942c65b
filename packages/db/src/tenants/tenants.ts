/** `tenants`: who shares an installation without seeing anything of each other. */

import { type Db, type Queryable, withTransaction } from '../server/connect.js'
import { recordAudit } from './audit-log.js'

/** The tenant that is there from the start. It runs the installation: only its keys see the pipeline as a whole. */
export const OPERATOR_TENANT = 'default'

/** What a tenant may send in a second, all its keys and all ingest processes together; as much as it likes where it is null. */
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

/** The tenant has as many of something as it may have. The message says of what, and what can be done. */
export class TenantLimitError extends Error {
  override name = 'TenantLimitError'
}

/**
 * Throws TenantLimitError when `count`, a statement with the tenant as $1, counts more than `limit`. To be called in
 * the transaction that has added one, after `lockTenant`: the next one then counts it too.
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
 * Lets what counts the things of a tenant happen one after the other, until the transaction ends. It holds up no
 * reference to the tenant.
 */
export async function lockTenant(tx: Queryable, tenantId: string): Promise<void> {
  await tx.query('SELECT FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE', [tenantId])
}

/** Makes a tenant. Gives nothing when there is one of that name. */
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

/** Changes what a tenant may send; heeded within five seconds. Gives nothing when there is no such tenant. */
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

/** All tenants, by their names. */
export async function listTenants(db: Queryable): Promise<Tenant[]> {
  const { rows } = await db.query(`SELECT ${COLUMNS} FROM tenants ORDER BY tenant_id`)
  return rows
}
