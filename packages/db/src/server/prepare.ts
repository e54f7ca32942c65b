/** Lets users' definitions create the tables that they write. */
import pg from 'pg'
import { ADVISORY_LOCKS } from './advisory-locks.js'
import { asSql } from './connect.js'
import { checkedDatabaseUrl } from './database-url.js'

/**
 * Runs the steps in one transaction, on a separate connection without the timeouts of the pipeline, and never in two
 * processes at once. Rejects with the error of a step; then nothing was changed.
 */
export async function prepare(
  url: string,
  steps: readonly ((tx: ReturnType<typeof asSql>) => Promise<void>)[],
): Promise<void> {
  const client = new pg.Client({ connectionString: checkedDatabaseUrl(url), connectionTimeoutMillis: 3_000 })
  // Without a listener it would end the process; the running statement reports it, too.
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
