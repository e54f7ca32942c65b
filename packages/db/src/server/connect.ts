/** Connections to Postgres: a bounded pool in which every wait has a timeout, and one way to run a transaction. */
import pg from 'pg'
import { checkedDatabaseUrl } from './database-url.js'
import { EXACT_TYPES, rowsIn } from './exact-values.js'

/** `accepted_at` and similar columns arrive as the text that Postgres sends; convert to a Date only if needed. */
const TYPES = new pg.TypeOverrides()
TYPES.setTypeParser(pg.types.builtins.INT8, Number)

export interface ConnectOptions {
  url: string
  /** The setting that has the URL, for errors. */
  setting?: 'DATABASE_URL' | 'DATABASE_REPLICA_URL'
  /** Shown in pg_stat_activity. */
  applicationName: string
  /** The most connections. */
  max: number
  /** Called with errors of idle connections; the pool replaces them automatically. */
  onIdleError: (error: Error) => void
  /** How long a transaction may idle, in milliseconds. */
  idleTimeoutMs?: number
  /**
   * Plans each named statement once, and not for each set of values: for small, frequent statements on tables in parts,
   * whose planning takes longer than they do. Postgres often chooses otherwise, since it expects to save rows.
   */
  plansOnce?: boolean
}

/** The application name of the connections that accept events. */
export const INGEST_APPLICATION = 'eventflow-ingest'

/** The application name of the connections of consumer groups, which accept the events that they emit. */
export const GROUPS_APPLICATION = 'eventflow-groups'

/** The application names of all connections that insert into `raw_events`. */
export const ACCEPTING_APPLICATIONS = [INGEST_APPLICATION, GROUPS_APPLICATION]

/** The application name of the other connections of ingest, which read and change data for operators. */
export const ASKING_APPLICATION = 'eventflow-ingest-asking'

/** The application name of ingest's connections to a standby. */
export const STANDBY_APPLICATION = 'eventflow-ingest-standby'

/** The most connections of each kind that an ingest process opens; `standby` are on the standby, if one is set. */
export const CONNECTIONS_OF_INGEST = { accepting: 6, asking: 10, standby: 8 }

/** The application name of workers' connections. */
export const WORKER_APPLICATION = 'eventflow-worker'

export type Db = pg.Pool

/** Runs statements: a pool (each on any connection) or a transaction's connection. */
export type Queryable = Pick<pg.ClientBase, 'query'>

/** A transaction's connection. */
export type Transaction = Pick<pg.ClientBase, 'query' | 'getTransactionStatus'>

/** The longest time that a statement may run, in milliseconds. Final seqs lag behind by more than this. */
export const STATEMENT_TIMEOUT_MS = 5_000

/** The longest time that a transaction may idle, in milliseconds. */
export const IDLE_TIMEOUT_MS = 6_000

/**
 * Opens a pool, which connects when it is first used. Throws if the URL has parameters that are set here.
 * `query_timeout` is longer than `statement_timeout`, so that the server ends a statement before the client gives up.
 * `idle_in_transaction_session_timeout` is shorter than a lease, so that a worker that was suspended inside a
 * transaction does not delay the next owner.
 */
export function connect(options: ConnectOptions): Db {
  const { url, setting, applicationName, max, onIdleError, idleTimeoutMs = IDLE_TIMEOUT_MS, plansOnce } = options
  const pool = new pg.Pool({
    connectionString: checkedDatabaseUrl(url, setting),
    application_name: applicationName,
    max,
    connectionTimeoutMillis: 3_000,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS + 2_000,
    lock_timeout: 4_000,
    idle_in_transaction_session_timeout: idleTimeoutMs,
    keepAlive: true,
    types: TYPES,
    // The pool awaits it before it gives the connection to anyone.
    ...(plansOnce && { onConnect: (client) => client.query('SET plan_cache_mode = force_generic_plan') }),
  })
  pool.on('error', onIdleError)
  // A connection that breaks while it is checked out also emits the error itself; without a listener, that would end
  // the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** The transaction could not be committed: a statement had failed, and the code caught its error and continued. */
export class RolledBackError extends Error {
  override name = 'RolledBackError'
  override message = 'an error of an SQL statement was caught, but it had ended the transaction'
}

/**
 * Runs `work` in a transaction and resolves with its result after COMMIT. On any error the connection is closed instead
 * of returned to the pool, because its state is unknown. If COMMIT itself fails, the transaction may have been
 * committed; callers run it again, so `work` must be idempotent. `resetting`: `work` ran statements of users' code, so
 * their session settings are reset.
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
    // Postgres answers the COMMIT of a failed transaction with ROLLBACK, without an error.
    if ([committed].flat()[0]!.command !== 'COMMIT') throw new RolledBackError()
    client.release()
    return result
  } catch (error) {
    client.release(error instanceof Error ? error : true)
    throw (error as { code?: unknown }).code === IN_FAILED_TRANSACTION ? new RolledBackError() : error
  }
}

/** Whether the server answers, on any connection. Never rejects. */
export async function isAnswering(db: Db): Promise<boolean> {
  try {
    await db.query('SELECT 1')
    return true
  } catch {
    return false
  }
}

/** The SQLSTATE of a statement after a failed one. */
const IN_FAILED_TRANSACTION = '25P02'

/** The SQL interface for enrichers: rows only, without the driver. */
export function asSql(db: Queryable) {
  return {
    async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
      return rowsIn(await db.query({ text, values: [...values], types: EXACT_TYPES })) as Row[]
    },
  }
}
