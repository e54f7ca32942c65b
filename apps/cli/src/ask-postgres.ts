/** One connection to Postgres for the time of a command. */
import { connect, type Db, sqlErrorKind } from '@eventflow/db'
import { UnreachableError } from './addresses.js'

/** Runs `work` on a connection. Throws UnreachableError when Postgres does not let us in, and says where it was looked for. */
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

/**
 * What a command says when Postgres did not let it in; nothing when the error is another one. SQLSTATE class 28 is a wrong password or role, 3D a database that
 * is not there.
 */
export function unreachable(url: string, error: unknown): UnreachableError | undefined {
  const { code, message } = error as { code?: string; message: string }
  if (sqlErrorKind(error) !== 'infrastructure' && !/^(28|3D)/.test(code ?? '')) return undefined
  return new UnreachableError(
    `Postgres at ${placeOf(url)}: ${message || code}\nIs it running, and does DATABASE_URL name the right one?`,
  )
}

/** Host, port and name, without the password. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}
