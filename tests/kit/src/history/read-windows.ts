/** Reads what the windows and the joins of the fault tests have made of the log. */
import { ADVISORY_LOCKS, type Db, type Transaction, withTransaction } from '@eventflow/db'
import { LONG_MS, rowsOf } from './each-row.js'
import { FAULT_JOINS, type JoinSpec } from './fault-joins.js'
import { FAULT_WINDOWS, WINDOWED, type WindowSpec } from './fault-windows.js'
import { IS_OURS, micros, ofGeneration, readEmitted, readLogHistory } from './read-log-history.js'
import { everIn } from './watch.js'
import type { JoinHistory, WindowHistory } from './window-rows.js'

/** Gives the history of each window of a tenant; of those that are not defined, none. */
export function readWindows(db: Db, tenantId: string, take: (history: WindowHistory) => void): Promise<void> {
  return readEach(db, FAULT_WINDOWS, (tx, spec) => readWindow(tx, spec, tenantId), take)
}

/** The same of joins. */
export function readJoins(db: Db, tenantId: string, take: (history: JoinHistory) => void): Promise<void> {
  return readEach(db, FAULT_JOINS, (tx, spec) => readJoin(tx, spec, tenantId), take)
}

/** One snapshot each: ticks may still come. TRUNCATE empties a part for a snapshot from before it, too. */
async function readEach<Spec, History>(
  db: Db,
  specs: readonly Spec[],
  read: (tx: Transaction, spec: Spec) => Promise<History | undefined>,
  take: (history: History) => void,
): Promise<void> {
  await whileNothingIsRemoved(db, async () => {
    for (const spec of specs) {
      const history = await withTransaction(db, async (tx) => {
        await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
        return read(tx, spec)
      })
      if (history) take(history)
    }
  })
}

/** Runs `work` while retention waits. */
async function whileNothingIsRemoved(db: Db, work: () => Promise<void>): Promise<void> {
  const client = await db.connect()
  try {
    await client.query(`SET statement_timeout = ${LONG_MS}; SET lock_timeout = ${LONG_MS}`)
    const statement = {
      text: 'SELECT pg_advisory_lock($1)',
      values: [ADVISORY_LOCKS.retention],
      query_timeout: LONG_MS,
    }
    await client.query(statement)
    await work()
  } finally {
    // Ends the session, and its lock.
    client.release(true)
  }
}

async function readWindow(tx: Transaction, spec: WindowSpec, tenantId: string): Promise<WindowHistory | undefined> {
  const read = await readLogHistory(tx, spec, tenantId)
  if (!read) return undefined
  return {
    ...read,
    results: (
      await rowsOf(
        tx,
        `SELECT partition, key, ${micros('start_at')} AS start, ${micros('end_at')} AS end, result
         FROM ${everIn('window_results')} WHERE ${IS_OURS}`,
        ofGeneration(read),
      )
    ).map(({ result, start, end, ...row }) => ({ ...row, ...result, start: BigInt(start), end: BigInt(end) })),
    state: (
      await rowsOf(
        tx,
        `SELECT partition, key, start_at::text AS start, end_at::text AS end, first_open::text AS first, state
         FROM window_state WHERE ${IS_OURS}`,
        ofGeneration(read),
      )
    ).map(({ partition, key, start, end, first, state }) => ({
      ...{ partition, key, count: Number(state.count), sum: Number(state.sum) },
      ...{ start: BigInt(start), end: BigInt(end), firstOpen: BigInt(first) },
    })),
    emitted: await readEmitted(tx, WINDOWED, tenantId),
  }
}

async function readJoin(
  tx: Transaction,
  { name, left, right, emits }: JoinSpec,
  tenantId: string,
): Promise<JoinHistory | undefined> {
  const read = await readLogHistory(tx, { name, types: [left, right] }, tenantId)
  if (!read) return undefined
  return {
    ...read,
    waiting: (
      await rowsOf(
        tx,
        `SELECT partition, key, side, at::text, seq, expires_at::text AS expires, matched
         FROM join_rows WHERE ${IS_OURS}`,
        ofGeneration(read),
      )
    ).map(({ at, expires, ...row }) => ({ ...row, at: BigInt(at), expiresAt: BigInt(expires) })),
    emitted: await readEmitted(tx, emits, tenantId),
  }
}
