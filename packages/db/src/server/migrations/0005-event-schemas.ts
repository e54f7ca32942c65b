/** The schemas of event types: versions that never change, and the compatibility mode for new ones. */
import { type Kysely, sql } from 'kysely'

export async function eventSchemas(db: Kysely<unknown>): Promise<void> {
  // `id` rises in the order of the commits, because registering holds a lock. So a process that has seen an id has seen
  // all lower ones.
  await sql`
    CREATE TABLE event_schemas (
      tenant_id     text NOT NULL REFERENCES tenants,
      type          text NOT NULL,
      version       integer NOT NULL,
      schema        json NOT NULL,
      origin        text NOT NULL CHECK (origin IN ('code', 'api')),
      registered_by text NOT NULL,
      registered_at timestamptz NOT NULL DEFAULT now(),
      id            bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
      PRIMARY KEY (tenant_id, type, version)
    )`.execute(db)
  await sql`
    CREATE TABLE event_schema_modes (
      tenant_id     text NOT NULL REFERENCES tenants,
      type          text NOT NULL,
      compatibility text NOT NULL,
      PRIMARY KEY (tenant_id, type)
    )`.execute(db)
}
