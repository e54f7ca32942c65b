/**
 * The second wall between tenants: a role that owns nothing and sees only the rows of the tenant that a transaction
 * names. Reads for a tenant use this role; the pipeline itself owns the tables, so the policies do not apply to it.
 */
import { type Kysely, sql } from 'kysely'

const TABLES = ['raw_events', 'processed_events', 'failed_events', 'retries', 'operations', 'audit_log', 'api_keys']

export async function tenantRole(db: Kysely<unknown>): Promise<void> {
  // Roles belong to the server, not to the database: another installation may have created it, or be about to. It is
  // granted to the role that has logged in, which need not be the owner that migrates.
  await sql`
    DO $$
    DECLARE recent boolean := current_setting('server_version_num')::int >= 160000;
    BEGIN
      BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'eventflow_tenant') THEN
          CREATE ROLE eventflow_tenant NOLOGIN;
        END IF;
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
      END;
      IF NOT pg_has_role(session_user, 'eventflow_tenant', CASE WHEN recent THEN 'SET' ELSE 'MEMBER' END) THEN
        EXECUTE format('GRANT eventflow_tenant TO %I', session_user) || CASE WHEN recent THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
      END IF;
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE EXCEPTION 'a role is missing, and % may not make it: have an administrator run CREATE ROLE eventflow_tenant; GRANT eventflow_tenant TO %',
        session_user, quote_ident(session_user) || CASE WHEN recent THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
    END $$`.execute(db)
  for (const table of TABLES) await tenantWall(db, table)
  await sql`GRANT SELECT ON partitions, events TO eventflow_tenant`.execute(db)
  await readAsTheReader(db)
}

/** Shows the role of a tenant only the rows of that tenant. */
export async function tenantWall(db: Kysely<unknown>, table: string): Promise<void> {
  const name = sql.table(table)
  await sql`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`.execute(db)
  // Other roles with the privilege to read still see all rows.
  await sql`CREATE POLICY everybody ON ${name} USING (true) WITH CHECK (true)`.execute(db)
  await sql`
    CREATE POLICY tenant ON ${name} AS RESTRICTIVE TO eventflow_tenant
    USING (tenant_id = NULLIF(current_setting('eventflow.tenant', true), ''))`.execute(db)
  await sql`GRANT SELECT ON ${name} TO eventflow_tenant`.execute(db)
}

/**
 * A view reads as its owner, who sees everything, unless `security_invoker` is set, which Postgres has from version 15
 * on.
 */
export async function readAsTheReader(db: Kysely<unknown>, view = 'events'): Promise<void> {
  await sql`
    DO $$ BEGIN
      IF current_setting('server_version_num')::int >= 150000 THEN
        ALTER VIEW ${sql.table(view)} SET (security_invoker = true);
      END IF;
    END $$`.execute(db)
}
