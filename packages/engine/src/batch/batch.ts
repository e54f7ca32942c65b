/** A batch: the events that are processed and settled together. */
import type { Delivery } from '@eventflow/core'
import type { BatchTrace } from './trace.js'

/** The most events in one batch: larger transactions are no faster. */
export const BATCH = 1_000

/** The most data in one batch, in bytes of JSON text. An event larger than this is a batch by itself. */
export const BATCH_BYTES = 16 * 1_048_576

export interface Batch {
  deliveries: readonly Delivery[]
  /** When the batch was formed, in milliseconds on the monotonic clock. */
  startedAt: number
  trace: BatchTrace
}
