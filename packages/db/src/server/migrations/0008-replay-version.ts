/**
 * The schema version that a replayed event is read as: chosen for the operation, and kept until the event is settled.
 */
import { type Kysely, sql } from 'kysely'

export async function replayVersion(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE operations ADD COLUMN schema_version integer`.execute(db)
  await sql`ALTER TABLE retries ADD COLUMN schema_version integer`.execute(db)
}
