/** A transaction in which handlers run last. */
import { type Db, sqlErrorKind, type Transaction, withTransaction } from '@eventflow/db'
import { failureOfCommit, HandlerError } from './handler-failure.js'

/** Tells the seqs of the events whose handlers have run: only the COMMIT is left. */
export type Handled = (seqs: readonly number[]) => void

/**
 * Runs a transaction that ends with handlers. If only its COMMIT fails, it rejects with HandlerError: the handlers
 * caused that, because our own tables have no deferred constraints.
 */
export async function withHandlers<Result>(
  db: Db,
  work: (tx: Transaction, handled: Handled) => Promise<Result>,
): Promise<Result> {
  let seqs: readonly number[] = []
  const told: Handled = (handled) => {
    seqs = handled
  }
  try {
    return await withTransaction(db, (tx) => work(tx, told), { resetting: true })
  } catch (error) {
    if (seqs.length > 0 && ['data', 'statement', 'conflict'].includes(sqlErrorKind(error))) {
      throw new HandlerError(failureOfCommit(error), seqs)
    }
    throw error
  }
}
