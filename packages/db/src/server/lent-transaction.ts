/**
 * The settling transaction as one call of a handler gets it. Each call has a separate interface, which ends with the
 * call and records the errors of the call's statements. So an error is judged by its origin, not by its appearance.
 */
import type { Db, Transaction } from './connect.js'
import { EXACT_TYPES, rowsIn } from './exact-values.js'
import { changesSettings, refusalOf } from './statements-in.js'

/** What a call did with its transaction. */
export interface Use {
  /** The error that ended the transaction: no statement has succeeded since. Set even if the handler has caught it. */
  error: unknown
  /** Why one of its statements was refused, or what it did that is not allowed. */
  misuse: string | undefined
  /** The number of statements that were still running when the call ended. */
  pending: number
}

export interface LentTransaction {
  /** For the handler. */
  sql: { query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> }
  /** Ends the loan: from now on every statement is refused. */
  takeBack(): Use
  /** Restores the settings that the call has changed with SET LOCAL, so that the next call does not see them. */
  restoreSettings(): Promise<void>
}

/**
 * Lends a transaction to a call. `late` is the error message for a statement after the call; it names the problem and
 * the function.
 */
export function lendTransaction(tx: Transaction, late: string): LentTransaction {
  let isOver = false
  let settingsChanged = false
  const use: Use = { error: undefined, misuse: undefined, pending: 0 }

  async function run(text: string, values: readonly unknown[]): Promise<unknown[]> {
    if (isOver) throw new Error(late)
    const refusal = refusalOf(text)
    if (refusal) {
      use.misuse ??= refusal
      throw new Error(refusal)
    }
    settingsChanged ||= changesSettings(text)
    const query = { text, values: [...values], types: EXACT_TYPES }
    use.pending++
    const outcome = await tx.query(query).then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    )
    if (isOver) return never()
    use.pending--
    if ('error' in outcome) {
      use.error ??= outcome.error
      throw outcome.error
    }
    use.error = undefined
    return rowsIn(outcome.result)
  }

  return {
    sql: {
      query<Row>(text: string, values: readonly unknown[] = []) {
        const rows = run(text, values) as Promise<Row[]>
        // The error is recorded, so it may stay unhandled here; otherwise it would end the process.
        rows.catch(() => {})
        return rows
      },
    },
    takeBack() {
      isOver = true
      if (use.pending === 0 && tx.getTransactionStatus() === 'I') use.misuse ??= 'it ended the transaction'
      return use
    },
    async restoreSettings() {
      if (settingsChanged) await tx.query('RESET ALL; RESET ROLE')
    },
  }
}

/**
 * Never resolves: the function that awaits a statement after its call is over has already returned, so an error would
 * reach no one.
 */
function never(): Promise<never> {
  return new Promise(() => {})
}

/**
 * Ends the session of a transaction whose statement is still running. Closing the connection alone would let the
 * statement continue and keep its locks. A failure is ignored: the server's limits end the session later.
 */
export async function endSession(db: Db, tx: Transaction): Promise<void> {
  const { processID } = tx as { processID?: number | null }
  // Behind a proxy the number may belong to another session, which must not be a stranger's.
  const ending = db.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE pid = $1 AND usename = current_user AND datname = current_database()
       AND application_name = current_setting('application_name')`,
    [processID],
  )
  await ending.catch(() => {})
}
