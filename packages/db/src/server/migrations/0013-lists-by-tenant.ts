/** Indexes for lists of a tenant, so that they do not slow down with the rows of other tenants. */
import { type Kysely, sql } from 'kysely'

export async function listsByTenant(db: Kysely<unknown>): Promise<void> {
  await sql`CREATE INDEX failed_events_tenant ON failed_events (tenant_id, seq)`.execute(db)
  await sql`CREATE INDEX audit_log_tenant ON audit_log (tenant_id, id)`.execute(db)
  await sql`CREATE INDEX operations_tenant ON operations (tenant_id, started_at)`.execute(db)
  await sql`CREATE INDEX operations_running ON operations (tenant_id) WHERE status = 'running'`.execute(db)
}
