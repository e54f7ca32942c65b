/**
 * Which events are settled, as SQL conditions about a row `e` with `seq`. An event is settled when
 * it is processed, or has failed and is not being replayed.
 */

/** The statuses of a dead letter, which is a row of `failed_events`. */
export const DEAD_LETTER_STATUSES = ['open', 'replaying', 'replayed', 'discarded'] as const
export type DeadLetterStatus = (typeof DEAD_LETTER_STATUSES)[number]

/**
 * The statuses of a dead letter that settles its event. While it is `replaying`, the event is in `retries` and
 * unsettled again; once it is `replayed`, the event is processed.
 */
export const SETTLING_STATUSES = `('open', 'discarded')`

/** A table in which the row of an event makes a condition true. */
interface Place {
  table: string
  /** About the row `o`. */
  condition?: string
}

const SETTLED: Place[] = [
  { table: 'processed_events' },
  { table: 'failed_events', condition: `o.status IN ${SETTLING_STATUSES}` },
]
const RETRYING: Place = { table: 'retries' }

const rowOf = ({ table, condition = 'true' }: Place) => `FROM ${table} o WHERE o.seq = e.seq AND ${condition}`

// Scalar subqueries: for EXISTS Postgres may choose to hash the whole table.
const anyRow = (places: readonly Place[]) =>
  `coalesce(${places.map((place) => `(SELECT true ${rowOf(place)})`).join(', ')}, false)`

/** Whether the event has a row in `table` that meets `condition`, which is about the row `o`. */
export const hasRow = (table: string, condition?: string) =>
  anyRow([{ table, ...(condition !== undefined && { condition }) }])

/** Whether the event is settled. */
export const IS_SETTLED = anyRow(SETTLED)

/**
 * Whether the event is settled or in `retries`, so that the worker need not look for it in `raw_events`. That differs
 * from settled: a blocked event may be in `retries`, too, and is still unsettled.
 */
export const IS_SETTLED_OR_RETRYING = anyRow([...SETTLED, RETRYING])
