/** The parameters of settling a batch. */
import type { Batch } from '../batch/batch.js'

export interface Settling {
  batch: Batch
  /**
   * A part of the batch, including retries, may have been committed before. So rows in `retries` must be deleted for
   * all events that are settled now.
   */
  again: boolean
  /** Aborted when the worker must stop. */
  stopping: AbortSignal
  /** The keys that are blocked from the start, as `orderOf` gives them. */
  blockedKeys?: Iterable<string>
  /** How many events the lane puts into one transaction. */
  transactionSize: TransactionSize
}

/**
 * The size of transactions, in events. It is halved after the handlers together exceeded the time limit, or our INSERT
 * exceeded the statement timeout. It grows slowly again while transactions of that size succeed. The lane keeps it
 * between batches: otherwise every batch would begin with a transaction that is rolled back.
 */
interface TransactionSize {
  events: number
}
