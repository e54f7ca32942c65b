/**
 * `ingest_processes`: the heartbeats of the processes that accept events. While there is none, that no event arrives
 * does not mean that none was sent.
 */
import type { Queryable } from '../server/connect.js'

/** The row of a process that has died is removed after this many seconds. */
const FORGOTTEN_AFTER_S = 60

/** Records that this process accepts events, and removes the rows of dead ones. */
export async function beatIngest(db: Queryable, processId: string): Promise<void> {
  await db.query({
    name: 'beat-ingest',
    text: `
      WITH forgotten AS (
        DELETE FROM ingest_processes WHERE process_id IN (
          SELECT process_id FROM ingest_processes WHERE seen_at < now() - $2 * interval '1 second' AND process_id <> $1
          ORDER BY process_id FOR UPDATE SKIP LOCKED))
      INSERT INTO ingest_processes (process_id) VALUES ($1) ON CONFLICT (process_id) DO UPDATE SET seen_at = now()`,
    values: [processId, FORGOTTEN_AFTER_S],
  })
}

/** Removes the row of a process that ends. */
export async function forgetIngest(db: Queryable, processId: string): Promise<void> {
  await db.query('DELETE FROM ingest_processes WHERE process_id = $1', [processId])
}
