/** Lets users' definitions make the tables they write. */
import pg from 'pg'
import { ADVISORY_LOCKS } from './advisory-locks.js'
import { asSql } from './connect.js'
import { checkedDatabaseUrl } from './database-url.js'

/**
 * Runs the steps in one transaction, on a connection of its own without the timeouts of the pipeline, and never in two
 * processes at once. Throws what a step throws; then nothing was changed.
 */
export async function prepare(
  url: string,
  steps: readonly ((tx: ReturnType<typeof asSql>) => Promise<void>)[],
): Promise<void> {
  const client = new pg.Client({ connectionString: checkedDatabaseUrl(url), connectionTimeoutMillis: 3_000 })
  // Unheard, it would end the process; the statement in hand reports it too.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.prepare])
    for (const step of steps) await step(asSql(client))
    await client.query('COMMIT')
  } finally {
    await client.end()
  }
}
