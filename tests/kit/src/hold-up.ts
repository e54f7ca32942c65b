/** Long changes of the ledger, as on tables with many rows. */
import type { Db } from '@eventflow/db'
import { administer } from './services.js'
import { until } from './until.js'

/** What is held up: the first row that a statement changes. */
interface HeldUp {
  db: Db
  url: string
  table: string
  /** The beginning of the statement. */
  statement: `${'INSERT' | 'UPDATE'} ${string}`
}

/**
 * Runs `begin`, and `meanwhile` while a statement of the upkeep that this causes is held up. Resolves with the result of
 * `begin` when both have ended.
 */
export async function whileHeldUp<Result>(
  { db, url, table, statement }: HeldUp,
  begin: () => Promise<Result>,
  meanwhile: (begun: Promise<Result>) => Promise<void>,
): Promise<Result> {
  await administer(
    `CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN WHILE NOT pg_try_advisory_xact_lock(1) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END $$;
     CREATE TRIGGER hold_up BEFORE ${statement.split(' ')[0]} ON ${table} FOR EACH ROW EXECUTE FUNCTION hold_up()`,
    url,
  )
  const holder = await db.connect()
  let begun: Promise<Result> | undefined
  try {
    await holder.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; SELECT pg_advisory_xact_lock(1)')
    begun = begin()
    await until('the statement is held up', async () => {
      const { rowCount } = await db.query(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'eventflow-upkeep' AND state = 'active'
           AND starts_with(ltrim(query, E' \\n'), $1)`,
        [statement],
      )
      return rowCount! > 0
    })
    await meanwhile(begun)
  } finally {
    await holder.query('ROLLBACK')
    holder.release()
    await begun
  }
  return begun
}
