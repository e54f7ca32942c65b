/** How a batch is settled. */
import type { Batch } from '../batch/batch.js'

export interface Settling {
  batch: Batch
  /**
   * A part of the batch may have been written before, retries too: what is settled now must not leave their rows
   * behind.
   */
  again: boolean
  /** The worker is to stop. */
  stopping: AbortSignal
  /** What the lane has learned of how much goes into one transaction. */
  room: TransactionRoom
}

/**
 * How many events go into one transaction: half as many after handlers took longer together than it may last, or our
 * INSERT longer than a statement may, and slowly more again while that many fit. Kept by the lane: learned anew with
 * each batch, it would cost a transaction that is undone every time.
 */
interface TransactionRoom {
  events: number
}
