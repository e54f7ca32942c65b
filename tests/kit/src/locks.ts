/** Locks, to stop other sessions at a known place. */
import type { Db, Queryable } from '@eventflow/db'

/** The sessions in this database that wait for a lock, by process id. */
export async function sessionsWaiting(db: Queryable): Promise<number[]> {
  const { rows } = await db.query(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' ORDER BY pid`,
  )
  return rows.map(({ pid }) => pid)
}

/** Blocks all writes to a table while `work` runs. It must be done within 4 s, the lock timeout of the others. */
export async function whileLocked(db: Db, table: string, work: () => Promise<void>): Promise<void> {
  const client = await db.connect()
  try {
    await client.query(`BEGIN; LOCK ${table} IN EXCLUSIVE MODE`)
    await work()
  } finally {
    // Ends the transaction, in any state.
    client.release(true)
  }
}
