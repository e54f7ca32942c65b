/** The second wall around schemas: a tenant sees its own versions and those of the definitions, which apply to all. */
import { type Kysely, sql } from 'kysely'

const OWN = sql`tenant_id = NULLIF(current_setting('eventflow.tenant', true), '')`
const OF_DEFINITIONS = sql`tenant_id = 'default' AND origin = 'code'`

const SEEN_BY_TENANTS = {
  event_schemas: sql`${OWN} OR (${OF_DEFINITIONS})`,
  event_schema_modes: OWN,
}

export async function schemaWalls(db: Kysely<unknown>): Promise<void> {
  for (const [table, seen] of Object.entries(SEEN_BY_TENANTS)) {
    const name = sql.table(table)
    await sql`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`.execute(db)
    await sql`CREATE POLICY everybody ON ${name} USING (true) WITH CHECK (true)`.execute(db)
    await sql`CREATE POLICY tenant ON ${name} AS RESTRICTIVE TO eventflow_tenant USING (${seen})`.execute(db)
    await sql`GRANT SELECT ON ${name} TO eventflow_tenant`.execute(db)
  }
}
