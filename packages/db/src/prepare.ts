/** Lets users' definitions make the tables they write. */
import pg from 'pg'
import { asSql } from './connect.js'

/** Any number: what keeps processes that start at once from preparing at once. */
const LOCK = 7_305_021_648

/**
 * Runs the steps in one transaction, on a connection of its own without the timeouts of the pipeline, and never in two
 * processes at once. Throws what a step throws; then nothing was changed.
 */
export async function prepare(
  url: string,
  steps: readonly ((tx: ReturnType<typeof asSql>) => Promise<void>)[],
): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 })
  // Unheard, it would end the process; the statement in hand reports it too.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK])
    for (const step of steps) await step(asSql(client))
    await client.query('COMMIT')
  } finally {
    await client.end()
  }
}
