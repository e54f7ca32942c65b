/** API keys, quotas of tenants, and their entries in the audit log. */
import { type Kysely, sql } from 'kysely'

export async function apiKeys(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE api_keys (
      key_id       text PRIMARY KEY,
      tenant_id    text NOT NULL REFERENCES tenants,
      name         text NOT NULL,
      hash         bytea NOT NULL,
      scopes       text[] NOT NULL,
      created_at   timestamptz NOT NULL DEFAULT now(),
      expires_at   timestamptz,
      revoked_at   timestamptz,
      last_used_at timestamptz
    ) WITH (fillfactor = 50)`.execute(db)
  await sql`CREATE INDEX api_keys_tenant ON api_keys (tenant_id, created_at)`.execute(db)
  await sql`ALTER TABLE tenants ADD COLUMN events_per_second integer, ADD COLUMN bytes_per_second bigint`.execute(db)
  await sql`ALTER TABLE audit_log ADD COLUMN subject text`.execute(db)
}
