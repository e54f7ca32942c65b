/** A generation of a window or a join that is built after one that was never shown. */
import { type Kysely, sql } from 'kysely'

/** Adds to each cursor of a generation which one has emitted the results up to `silent_until`. */
export async function formerGenerations(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE group_cursors ADD COLUMN former integer`.execute(db)
  await sql`
    UPDATE group_cursors c SET former = g.generation
    FROM consumer_groups g WHERE g.group_id = c.group_id AND g.building = c.generation`.execute(db)
}
