/** Copies the data folder of a running Postgres that is in backup mode. */
import { copyFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, giveTo, makeFolderFor } from './server-home.js'

/** Folders whose content belongs to the running server alone, or that a standby gets by replication. */
const EMPTY = new Set([
  ...['pg_wal', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp', 'pg_subtrans'],
  'pgsql_tmp',
])

/** Files about the running server. */
const LEFT_OUT = new Set(['postmaster.pid', 'postmaster.opts', 'postgresql.auto.conf', 'pg_internal.init'])

/**
 * Copies it to `to`, for `account`. Files may change or vanish meanwhile: what the standby replays from the start of
 * the backup on repairs that.
 */
export async function copyData(from: string, to: string, account: Account): Promise<void> {
  await makeFolderFor(account, to)
  for (const entry of await readdir(from, { withFileTypes: true }).catch(unlessGone)) {
    const { name } = entry
    if (entry.isDirectory()) {
      await (EMPTY.has(name)
        ? makeFolderFor(account, join(to, name))
        : copyData(join(from, name), join(to, name), account))
    } else if (entry.isFile() && !LEFT_OUT.has(name)) {
      const copied = await copyFile(join(from, name), join(to, name)).then(() => true, unlessGone)
      if (copied === true) await giveTo(account, join(to, name))
    }
  }
}

function unlessGone(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT') return []
  throw error
}
