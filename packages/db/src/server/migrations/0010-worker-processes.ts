/** Which process has a worker's id, how long its leases are, and which other process wants the id. */
import { type Kysely, sql } from 'kysely'

export async function workerProcesses(db: Kysely<unknown>): Promise<void> {
  // Rows written by workers of the previous version get the defaults: they have leases of ten seconds.
  await sql`
    ALTER TABLE workers
      ADD COLUMN run        text NOT NULL DEFAULT '',
      ADD COLUMN lease_ms   integer NOT NULL DEFAULT 10000,
      ADD COLUMN rival_host text,
      ADD COLUMN rival_pid  integer,
      ADD COLUMN rival_at   timestamptz`.execute(db)
}
