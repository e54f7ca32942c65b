/** What a user writes: one file an event type, its default export made by `defineEvent`. */
import type { AcceptedEvent, Payload, Problem, RetryPolicy } from '@eventflow/core'
import type { Static, TSchema } from '@sinclair/typebox'

/** Runs SQL with positional parameters ($1, $2, …) and gives the rows. */
export interface Sql {
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

/** A cache shared by the workers. It may forget anything at any time, and a miss is always a correct answer. */
export interface SharedCache {
  /** One answer a key, in order; `undefined` where nothing is cached. */
  getMany(keys: readonly string[]): Promise<(string | undefined)[]>
  setMany(entries: ReadonlyMap<string, string>, ttlMs: number): Promise<void>
}

/** What an enricher may use besides the events themselves. */
export interface EnrichContext {
  /** Reads from Postgres, outside any transaction. */
  sql: Sql
  cache: SharedCache
}

/** What enrichment adds to the data of an event, or the error that befell this one event. */
export type Addition = Payload | Error

/**
 * Adds to the data of events, a whole batch at once: one look-up for 500 events.
 * Answers one addition an event, in the order of the events. An `Error` in the place of an addition
 * fails that event alone; a throw makes the pipeline look for the event at fault by halving the batch.
 * `PermanentError` dead-letters, `UnavailableError` pauses without charging an attempt, anything else is retried.
 */
export interface Enricher<Data = Payload> {
  /** Names the enricher in dead letters and metrics. */
  name: string
  enrich(events: readonly AcceptedEvent<Data>[], context: EnrichContext): Promise<Addition[]> | Addition[]
}

/** Everything EventFlow needs to know about one event type. */
export interface EventDefinition<Schema extends TSchema = TSchema> {
  type: string
  /** TypeBox or plain JSON Schema (2020-12) of the event's data. */
  schema: Schema
  /** One sentence for people: shown in the documentation. */
  description?: string
  /** An event of this type that people can send as it is: shown in the documentation. */
  example?: Static<Schema>
  /** What order is kept by, when the producer gave no `partitionkey`. */
  key?: (data: Static<Schema>) => string
  /** Run in this order; each sees what those before it added. */
  enrich?: readonly Enricher<Static<Schema>>[]
  /** Business rules, after enrichment: what is wrong with the event, or nothing. A problem is a permanent failure. */
  validate?: (event: AcceptedEvent<Static<Schema> & Payload>) => readonly Problem[]
  /**
   * Effects, in the transaction that settles the event: they happen exactly once.
   * Not for work outside Postgres: that may happen more than once, or for an event whose transaction fails.
   */
  handle?: (event: AcceptedEvent<Static<Schema> & Payload>, tx: Sql) => Promise<void>
  /** As `handle`, for all newly settled events of this type in the batch at once. A definition has one of the two. */
  handleBatch?: (events: readonly AcceptedEvent<Static<Schema> & Payload>[], tx: Sql) => Promise<void>
  retry?: Partial<RetryPolicy>
  /** `key` (the default): a key's events one after the other. `none`: a retry overtakes nobody and holds up nobody. */
  order?: 'key' | 'none'
  /** Once per start and database, before any event: makes the tables that the handlers write. Must be idempotent. */
  prepare?: (tx: Sql) => Promise<void>
}
