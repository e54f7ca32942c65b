/** What an error of Postgres says: about the data, about the moment, or about the server. */
import pg from 'pg'

/**
 * - `data`: this statement can never succeed with these values (SQLSTATE classes 22, 23 and 54).
 * - `conflict`: another transaction was in the way; the same again may succeed at once.
 * - `infrastructure`: the server, the network or a limit of them; nothing is known of the data.
 * - `statement`: a mistake in the statement, whatever the values are.
 * - `other`: no error of Postgres.
 */
export type SqlErrorKind = 'data' | 'conflict' | 'infrastructure' | 'statement' | 'other'

const CONFLICTS = new Set(['40001', '40P01', '55P03'])
const INFRASTRUCTURE_CLASSES = new Set(['08', '53', '57', '58', 'XX'])
const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENOENT',
])

/** What Node refuses a certificate for, or a connection by TLS. */
const TLS_CODE = /^(ERR_TLS_|ERR_SSL_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/

/** pg reports some losses of the connection, and some that it could not open, by message only. */
const CONNECTION_MESSAGES =
  /^(Connection terminated|The server does not support SSL|There was an error establishing an SSL|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Cannot use a pool after)/

/**
 * Sorts an error that a query or transaction threw. 25P03 is a session ended for idling inside a transaction.
 * Errors of Node itself are told by what they say: where tests run in contexts of their own, their class is another one.
 */
export function sqlErrorKind(error: unknown): SqlErrorKind {
  const { code, syscall, message, errors } = (error ?? {}) as Record<string, unknown>
  if (Array.isArray(errors)) return errors.some(isAway) ? 'infrastructure' : 'other'
  if (error instanceof pg.DatabaseError && typeof code === 'string') {
    const sqlClass = code.slice(0, 2)
    if (sqlClass === '22' || sqlClass === '23' || sqlClass === '54') return 'data'
    if (CONFLICTS.has(code)) return 'conflict'
    if (INFRASTRUCTURE_CLASSES.has(sqlClass) || code === '25P03') return 'infrastructure'
    return 'statement'
  }
  // Any error of a system call: what a connection may meet has no end, down to too many open files.
  if (typeof code === 'string' && (typeof syscall === 'string' || NETWORK_CODES.has(code) || TLS_CODE.test(code)))
    return 'infrastructure'
  return typeof message === 'string' && CONNECTION_MESSAGES.test(message) ? 'infrastructure' : 'other'
}

/** Whether an error says that Postgres is away, or has no room: the same may succeed later. */
export function isAway(error: unknown): boolean {
  return sqlErrorKind(error) === 'infrastructure'
}

/** Whether a statement was ended because it took too long, or somebody ended it. */
export function isCancelled(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '57014'
}

/**
 * Whether an error of a statement means that its connection is lost or that there is none. An error of the severity ERROR leaves the
 * connection as it was: it is about the statement, which can raise any SQLSTATE by itself.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof pg.DatabaseError && error.severity === 'ERROR') return false
  return isAway(error)
}
