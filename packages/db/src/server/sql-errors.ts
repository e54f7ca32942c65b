/** Classifies errors of Postgres: caused by the data, by another transaction, or by the server. */
import pg from 'pg'

/**
 * - `data`: this statement can never succeed with these values (SQLSTATE classes 22, 23 and 54).
 * - `conflict`: another transaction was in the way; the same statement may succeed at once.
 * - `infrastructure`: the server, the network or one of their limits; it says nothing about the data.
 * - `statement`: a mistake in the statement, independent of the values.
 * - `other`: not an error of Postgres.
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

/** The tables that are in parts. */
const DIVIDED_TABLES = ['raw_events', 'processed_events', 'event_ids']

/** Codes with which Node refuses a certificate or a TLS connection. */
const TLS_CODE = /^(ERR_TLS_|ERR_SSL_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/

/** pg reports some connection losses and failed connection attempts by message only. */
const CONNECTION_MESSAGES =
  /^(Connection terminated|The server does not support SSL|There was an error establishing an SSL|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Cannot use a pool after)/

/**
 * Classifies an error of a query or transaction. 25P03: a session was ended for idling inside a transaction. Errors of
 * Node itself are recognized by their properties, because their class differs where tests run in separate contexts.
 */
export function sqlErrorKind(error: unknown): SqlErrorKind {
  const { code, syscall, message, errors } = (error ?? {}) as Record<string, unknown>
  if (Array.isArray(errors)) return errors.some(isAway) ? 'infrastructure' : 'other'
  if (error instanceof pg.DatabaseError && typeof code === 'string') {
    if (isMissingPart(error)) return 'infrastructure'
    const sqlClass = code.slice(0, 2)
    if (sqlClass === '22' || sqlClass === '23' || sqlClass === '54') return 'data'
    if (CONFLICTS.has(code)) return 'conflict'
    if (INFRASTRUCTURE_CLASSES.has(sqlClass) || code === '25P03') return 'infrastructure'
    return 'statement'
  }
  // Any error of a system call: connections can fail in many ways, including too many open files.
  if (typeof code === 'string' && (typeof syscall === 'string' || NETWORK_CODES.has(code) || TLS_CODE.test(code)))
    return 'infrastructure'
  return typeof message === 'string' && CONNECTION_MESSAGES.test(message) ? 'infrastructure' : 'other'
}

/**
 * Whether an error means that a table of the ledger has no part for the seq of an event, because no process has made
 * one in time. Postgres reports it as a violated constraint, without a constraint.
 */
export function isMissingPart(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError &&
    error.code === '23514' &&
    error.constraint === undefined &&
    DIVIDED_TABLES.includes(error.table ?? '')
  )
}

/** Whether an error means that Postgres is away or has no space left: the same may succeed later. */
export function isAway(error: unknown): boolean {
  return sqlErrorKind(error) === 'infrastructure'
}

/** Whether a statement was cancelled because it took too long, or by an operator. */
export function isCancelled(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '57014'
}

/**
 * Whether an error of a statement means that its connection is lost or could not be opened. An error of severity ERROR
 * leaves the connection intact: it concerns the statement, which can raise any SQLSTATE itself.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof pg.DatabaseError && error.severity === 'ERROR') return false
  return isAway(error)
}

/** Whether a lock was not available in time, or two sessions waited for each other. */
export function isLockInTheWay(error: unknown): boolean {
  return ['55P03', '40P01'].includes(String((error as { code?: unknown } | null)?.code))
}
