/** `tenants`: who shares an installation without seeing anything of each other. */
import { recordAudit } from './audit-log.js'
import { type Db, type Queryable, withTransaction } from './connect.js'

/** The tenant that is there from the start. It runs the installation: only its keys see the pipeline as a whole. */
export const OPERATOR_TENANT = 'default'

export interface Tenant {
  id: string
  createdAt: Date
}

/** Makes a tenant. Gives nothing when there is one of that name. */
export async function createTenant(db: Db, id: string, actor: string): Promise<Tenant | undefined> {
  return withTransaction(db, async (tx) => {
    const { rows } = await tx.query(
      `INSERT INTO tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING
       RETURNING tenant_id AS id, created_at AS "createdAt"`,
      [id],
    )
    const made: Tenant | undefined = rows[0]
    if (made) {
      const entry = { action: 'create-tenant', subject: `tenant ${id}`, filter: {}, count: 0, reason: null }
      await recordAudit(tx, { tenantId: id, actor, ...entry })
    }
    return made
  })
}

/** All tenants, by their names. */
export async function listTenants(db: Queryable): Promise<Tenant[]> {
  const { rows } = await db.query('SELECT tenant_id AS id, created_at AS "createdAt" FROM tenants ORDER BY tenant_id')
  return rows
}
