/** A batch: the events that are processed and settled together. */
import type { Delivery } from '@eventflow/core'
import type { BatchTrace } from './trace.js'

/** Events that one batch holds at most: larger transactions are no faster. */
export const BATCH = 1_000

/** Data that one batch holds, in bytes of JSON text; a larger event makes a batch of its own. */
export const BATCH_BYTES = 16 * 1_048_576

export interface Batch {
  deliveries: readonly Delivery[]
  /** When it was taken up, on the monotonic clock, in milliseconds. */
  startedAt: number
  trace: BatchTrace
}
