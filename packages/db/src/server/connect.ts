/** Connections to Postgres: a bounded pool whose every wait has an end, and one way to run a transaction. */
import pg from 'pg'
import { checkedDatabaseUrl } from './database-url.js'
import { EXACT_TYPES, rowsIn } from './exact-values.js'

/** `accepted_at` and its like come as the text Postgres sends; whoever needs a Date makes one. */
const TYPES = new pg.TypeOverrides()
TYPES.setTypeParser(pg.types.builtins.INT8, Number)

export interface ConnectOptions {
  url: string
  /** Shown in pg_stat_activity. */
  applicationName: string
  /** Connections at the most. */
  max: number
  /** Told of errors on connections that were not in use; the pool replaces them by itself. */
  onIdleError: (error: Error) => void
  /** How long a transaction may idle, in milliseconds. */
  idleTimeoutMs?: number
}

/** By this name Postgres knows the connections that accept events. */
export const INGEST_APPLICATION = 'eventflow-ingest'

/** By this one those on which ingest does all else: it reads for those who ask, and changes what they ask for. */
export const ASKING_APPLICATION = 'eventflow-ingest-asking'

/** So many of each an ingest process opens at the most. */
export const CONNECTIONS_OF_INGEST = { accepting: 6, asking: 10 }

/** And by this one those of workers. */
export const WORKER_APPLICATION = 'eventflow-worker'

export type Db = pg.Pool

/** What runs a statement: a pool (each on its own) or a transaction's connection. */
export type Queryable = Pick<pg.ClientBase, 'query'>

/** A transaction's connection. */
export type Transaction = Pick<pg.ClientBase, 'query' | 'getTransactionStatus'>

/** No statement runs longer than this, in milliseconds. The settled watermark must trail by more. */
export const STATEMENT_TIMEOUT_MS = 5_000

/** No transaction idles longer than this, in milliseconds. */
export const IDLE_TIMEOUT_MS = 6_000

/**
 * Opens a pool; it connects when first used. Throws when the URL sets what is set here.
 * `query_timeout` is longer than `statement_timeout`, so that the server ends a statement before the client gives it up;
 * `idle_in_transaction_session_timeout` is shorter than a lease, so that a worker stopped inside a transaction does not
 * hold up the next owner.
 */
export function connect(options: ConnectOptions): Db {
  const { url, applicationName, max, onIdleError, idleTimeoutMs = IDLE_TIMEOUT_MS } = options
  const pool = new pg.Pool({
    connectionString: checkedDatabaseUrl(url),
    application_name: applicationName,
    max,
    connectionTimeoutMillis: 3_000,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS + 2_000,
    lock_timeout: 4_000,
    idle_in_transaction_session_timeout: idleTimeoutMs,
    keepAlive: true,
    types: TYPES,
  })
  pool.on('error', onIdleError)
  // A connection that breaks while it is checked out reports it a second time, on itself; unheard, that ends the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** The transaction could not be committed, because a statement in it had failed and somebody caught the error and went on. */
export class RolledBackError extends Error {
  override name = 'RolledBackError'
  override message = 'an error of an SQL statement was caught, but it had ended the transaction'
}

/**
 * Runs `work` in a transaction and gives its result once COMMIT has returned.
 * On any error the connection is closed, never returned to the pool: its state is unknown. When COMMIT itself fails the
 * transaction may have been committed; callers run it again, so `work` must be idempotent.
 * `resetting`: the work ran statements that are not ours, and what they set for the session is undone.
 */
export async function withTransaction<Result>(
  db: Db,
  work: (tx: Transaction) => Promise<Result>,
  { resetting = false } = {},
): Promise<Result> {
  const client = await db.connect()
  try {
    await client.query('BEGIN')
    const result = await work(client)
    const committed: pg.QueryResult | pg.QueryResult[] = await client.query(resetting ? 'COMMIT; RESET ALL' : 'COMMIT')
    // Postgres answers the COMMIT of a failed transaction with ROLLBACK, and with no error.
    if ([committed].flat()[0]!.command !== 'COMMIT') throw new RolledBackError()
    client.release()
    return result
  } catch (error) {
    client.release(error instanceof Error ? error : true)
    throw (error as { code?: unknown }).code === IN_FAILED_TRANSACTION ? new RolledBackError() : error
  }
}

/** Whether the server answers, on some other connection. */
export async function isAnswering(db: Db): Promise<boolean> {
  try {
    await db.query('SELECT 1')
    return true
  } catch {
    return false
  }
}

/** SQLSTATE of a statement that came after the one that failed. */
const IN_FAILED_TRANSACTION = '25P02'

/** The plain interface to SQL that enrichers are given: rows, and nothing of the driver. */
export function asSql(db: Queryable) {
  return {
    async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
      return rowsIn(await db.query({ text, values: [...values], types: EXACT_TYPES })) as Row[]
    },
  }
}
