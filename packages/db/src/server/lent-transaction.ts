/**
 * The settling transaction as one call of a handler is given it: an interface of its own for each call, which ends with the call and
 * remembers what the call's statements met. So an error is judged by where it came from, and not by what it looks like.
 */
import type { Db, Transaction } from './connect.js'
import { EXACT_TYPES, rowsIn } from './exact-values.js'
import { changesSettings, refusalOf } from './statements-in.js'

/** What a call did with its transaction. */
export interface Use {
  /** The error of a statement after which none has succeeded: it has ended the transaction, also where the handler has caught it. */
  error: unknown
  /** Why one of its statements was refused, or what it did that it should not. */
  misuse: string | undefined
  /** Statements that had not come to an end when the call did. */
  pending: number
}

export interface LentTransaction {
  /** For the handler. */
  sql: { query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> }
  /** Ends it, with the call: from now on it refuses every statement. */
  takeBack(): Use
  /** Undoes what the call has set until the end of the transaction, so that the next call does not see it. */
  restoreSettings(): Promise<void>
}

/** `late` is the message of the error that a statement meets after the call: what is wrong, and with which function. */
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
        // It is remembered, so it need not be heard; unheard, it would reach the process.
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

/** Who waits for a statement of a call that is over waits in vain: an error would come to a function that has returned. */
function never(): Promise<never> {
  return new Promise(() => {})
}

/**
 * Ends the session of a transaction whose statement is still running; the connection alone would be closed, and the statement would
 * go on and keep its locks. Failing to is no matter: the server's own limits then end it later.
 */
export async function endSession(db: Db, tx: Transaction): Promise<void> {
  const { processID } = tx as { processID?: number | null }
  // Behind a proxy the number may be that of another session, which must not be a stranger's.
  const ending = db.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE pid = $1 AND usename = current_user AND datname = current_database()
       AND application_name = current_setting('application_name')`,
    [processID],
  )
  await ending.catch(() => {})
}
