/** What making a standby takes: a base backup without pg_basebackup, and waiting until the standby follows. */
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { checkedDatabaseUrl } from './database-url.js'

/**
 * Calls `copy`, which copies the data folder, while Postgres is in backup mode. Resolves with the content of the file
 * `backup_label`, which the copy needs. If `copy` or the session fails, it rejects, and the copy is of no use.
 */
export async function backUp(adminUrl: string, copy: () => Promise<void>): Promise<string> {
  const client = await open(adminUrl)
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

/**
 * Resolves when the standby has replayed everything that the primary had written when this was called. Both URLs are
 * for administrators. Rejects when `signal` aborts.
 */
export async function untilReplayed(primaryUrl: string, standbyUrl: string, signal: AbortSignal): Promise<void> {
  const primary = await open(primaryUrl)
  const ahead = await primary.query('SELECT pg_current_wal_lsn() AS lsn').finally(() => primary.end())
  const standby = await open(standbyUrl)
  try {
    for (;;) {
      const { rows } = await standby.query('SELECT pg_last_wal_replay_lsn() >= $1 AS done', [ahead.rows[0].lsn])
      if (rows[0].done) return
      await delay(50, undefined, { signal })
    }
  } finally {
    await standby.end()
  }
}

async function open(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: checkedDatabaseUrl(url), connectionTimeoutMillis: 5_000 })
  client.on('error', () => {}) // the next statement has it, too
  await client.connect()
  return client
}
