/** What a settled batch leaves to do. */
import type { Delivery, Failed, Processed, Retry, Wait } from '@eventflow/core'

export interface Settlement {
  /** What was written, by kind; the entries of these events are to be acknowledged. */
  processed: Processed[]
  failed: Failed[]
  retried: Retry[]
  /** Events that wait for a dependency that is down: nothing was written of them. */
  waiting: Wait[]
  /**
   * Events that Postgres stores neither as processed nor as failed: they stay unsettled, where their age shows them.
   */
  refused: Delivery[]
  /** Of the processed, those that were settled just now; the others had been before, and had no effect this time. */
  fresh: Processed[]
  /** Events that are blocked from now on, in order: the head of each key with its delay, and those behind it. */
  blocked: { delivery: Delivery; delayMs: number }[]
  /** Partitions whose lease did not hold: nothing of them was written. */
  broken: Set<number>
}

export function emptySettlement(): Settlement {
  return { processed: [], failed: [], retried: [], waiting: [], refused: [], fresh: [], blocked: [], broken: new Set() }
}
