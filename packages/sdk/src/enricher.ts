/** Enrichers: they add to the data of events, a whole batch at once. */
import type { AcceptedEvent, Payload } from '@eventflow/core'

/** Runs SQL with positional parameters ($1, $2, …) and returns the rows. */
export interface Sql {
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

/**
 * A cache shared by the workers. It may forget anything at any time, and a miss is always a correct answer: while Redis
 * is down every look-up is a miss.
 */
export interface SharedCache {
  /** One answer for each key, in order; `undefined` for a miss. */
  getMany(keys: readonly string[]): Promise<(string | undefined)[]>
  setMany(entries: ReadonlyMap<string, string>, ttlMs: number): Promise<void>
}

/** What an enricher may use besides the events. */
export interface EnrichContext {
  /** Reads from Postgres, outside any transaction. */
  sql: Sql
  cache: SharedCache
}

/** What enrichment adds to the data of an event, or the error of this one event. */
export type Addition<Added extends object = Payload> = Added | Error

/**
 * Adds to the data of events, a whole batch at once: one look-up for 500 events. Returns one addition for each event,
 * in the order of the events. An `Error` in the place of an addition fails that event alone; a throw makes the pipeline
 * halve the batch to find the event at fault. `PermanentError` dead-letters, `UnavailableError` pauses without charging
 * an attempt, anything else is retried.
 *
 * `Data` is what the enricher reads, `Added` what it adds: `defineEvent` passes both types to `validate` and `handle`.
 */
export interface Enricher<Data = Payload, Added extends object = Payload> {
  /** Names the enricher in dead letters and metrics. Unique within an event type. */
  name: string
  enrich(events: readonly AcceptedEvent<Data>[], context: EnrichContext): Promise<Addition<Added>[]> | Addition<Added>[]
}

/** `Data` with everything that these enrichers add to it. */
export type EnrichedBy<Data, Enrichers extends readonly unknown[]> = Enrichers extends readonly [
  Enricher<infer _, infer Added>,
  ...infer Rest,
]
  ? EnrichedBy<Data & Added, Rest>
  : Data
