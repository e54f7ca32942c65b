/**
 * From here on the id of an event also depends on its source. Events that were sent before and are sent again must
 * still be recognized: for thirty days ingest also looks them up under their former ids.
 */
import { type Kysely, sql } from 'kysely'

export async function formerIds(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE installation ADD COLUMN former_ids_until timestamptz`.execute(db)
  await sql`
    UPDATE installation SET former_ids_until = now() + interval '30 days'
    WHERE EXISTS (SELECT FROM raw_events)`.execute(db)
}
