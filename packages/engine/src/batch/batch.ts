/** How large a batch is. */

/** Events that one batch holds at the most: larger transactions are no faster. */
export const BATCH = 1_000

/** Data that one batch holds, in bytes of JSON text; an event that is larger makes one of its own. */
export const BATCH_BYTES = 16 * 1_048_576
