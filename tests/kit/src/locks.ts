/** Locks, to stop other sessions at a known place. */
import type { Db, Queryable } from '@eventflow/db'
import { administer } from './services.js'

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

/**
 * Makes the COMMIT of each transaction with a certain `change` hang while `work` runs, such as 'INSERT ON raw_events'. As
 * with a COMMIT that waits for a standby, others do not see the transaction, and no timeout of Postgres ends it.
 */
export async function whileCommitsHang(
  { db, url }: { db: Db; url: string },
  change: string,
  work: () => Promise<void>,
): Promise<void> {
  await administer(
    `CREATE OR REPLACE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       WHILE NOT pg_try_advisory_xact_lock_shared(hashtext(TG_ARGV[0])) LOOP PERFORM pg_sleep(0.01); END LOOP;
       RETURN NULL;
     END $$;
     CREATE CONSTRAINT TRIGGER hang AFTER ${change} DEFERRABLE INITIALLY DEFERRED
     FOR EACH ROW EXECUTE FUNCTION hang('${change}')`,
    url,
  )
  const client = await db.connect()
  try {
    await client.query('SELECT pg_advisory_lock(hashtext($1))', [change])
    await work()
  } finally {
    // Ends the session, and its lock.
    client.release(true)
  }
}
