/** The result of settling a batch: what was written, and what the lane still has to do. */
import type { Delivery, Failed, Processed, Retry, Wait } from '@eventflow/core'

export interface Settlement {
  /** Events that were written, by kind. Their entries can be acknowledged. */
  processed: Processed[]
  failed: Failed[]
  retried: Retry[]
  /** Events that wait because a dependency is down. Nothing was written for them. */
  waiting: Wait[]
  /**
   * Events that Postgres can store neither as processed nor as failed. They stay unsettled, so their age shows up in
   * the metrics.
   */
  refused: Delivery[]
  /**
   * The processed events that this batch settled. The other processed events had been settled before; their handlers
   * did not run again.
   */
  fresh: Processed[]
  /**
   * Events that are blocked from now on, in order: the first event of each key with its delay, then the events behind
   * it.
   */
  blocked: { delivery: Delivery; delayMs: number }[]
  /** Partitions that failed the fence. Nothing was written for them. */
  broken: Set<number>
}

/** Returns a settlement to which settled parts of a batch are added. */
export function emptySettlement(): Settlement {
  return { processed: [], failed: [], retried: [], waiting: [], refused: [], fresh: [], blocked: [], broken: new Set() }
}
