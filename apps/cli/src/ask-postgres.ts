/** A connection to Postgres for the duration of a command. */
import { connect, type Db, isAway } from '@eventflow/db'
import { UnreachableError } from './addresses.js'

/**
 * Runs `work` on a connection. Rejects with UnreachableError, which names the address, if Postgres refuses the
 * connection.
 */
export async function askPostgres<Result>(url: string, work: (db: Db) => Promise<Result>): Promise<Result> {
  const db = connect({ url, applicationName: 'eventflow-cli', max: 1, onIdleError: () => {} })
  try {
    return await work(db)
  } catch (error) {
    throw unreachable(url, error) ?? error
  } finally {
    await db.end()
  }
}

/** Returns the error with which a command reports that Postgres is unreachable; undefined for any other error. */
export function unreachable(url: string, error: unknown): UnreachableError | undefined {
  const { code = '', message } = error as { code?: string; message: string }
  const place = `Postgres at ${placeOf(url)}: ${message || code}`
  if (code === UNDEFINED_TABLE) return new UnreachableError(`${place}\nCreate the tables with eventflow migrate.`)
  if (code === NO_RIGHTS) return new UnreachableError(`${place}\nUse the DATABASE_URL of ingest and workers.`)
  if (!isAway(error) && !REFUSED.test(code)) return undefined
  return new UnreachableError(`${place}\nIs it running, and is DATABASE_URL right?`)
}

/** SQLSTATEs: a wrong password or role; a missing database. */
const REFUSED = /^(28|3D)/

const UNDEFINED_TABLE = '42P01'

const NO_RIGHTS = '42501'

/** Host, port and name, without the password. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}
