/** The base backup of a running Postgres, without pg_basebackup: its data folder is copied between two statements. */
import pg from 'pg'
import { checkedDatabaseUrl } from './database-url.js'

/**
 * Calls `copy`, which copies the data folder, while Postgres is in backup mode. Resolves with the content of the file
 * `backup_label`, which the copy needs. If `copy` or the session fails, it rejects, and the copy is of no use.
 */
export async function backUp(adminUrl: string, copy: () => Promise<void>): Promise<string> {
  const client = new pg.Client({ connectionString: checkedDatabaseUrl(adminUrl), connectionTimeoutMillis: 5_000 })
  client.on('error', () => {}) // the next statement has it, too
  await client.connect()
  try {
    // Fast: a checkpoint at once. The backup ends with the session, so both statements need the same one.
    await client.query(`SELECT pg_backup_start('eventflow standby', true)`)
    await copy()
    const { rows } = await client.query('SELECT labelfile FROM pg_backup_stop(false)')
    return rows[0].labelfile
  } finally {
    await client.end()
  }
}
