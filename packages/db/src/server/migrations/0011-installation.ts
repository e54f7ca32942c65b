/** The identity of an installation: the secret with which its stream entries are sealed. */
import { randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'

export async function installationTable(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE installation (
      one_row      boolean PRIMARY KEY DEFAULT true CHECK (one_row),
      entry_secret bytea NOT NULL
    )`.execute(db)
  await sql`INSERT INTO installation (entry_secret) VALUES (${randomBytes(32)})`.execute(db)
}
