/** The event definition: users write one file per event type, with a default export made by `defineEvent`. */
import type { AcceptedEvent, CompatibilityMode, Payload, Problem, RetryPolicy } from '@eventflow/core'
import type { Static, TSchema } from '@sinclair/typebox'
import { frozenList, frozenObject, isOfKind, makeDefinition } from './definition-kind.js'
import type { EnrichedBy, Enricher, Sql } from './enricher.js'
import { eventMistakes } from './event-mistakes.js'
import { withPrefixItems } from './prefix-items.js'

/** The definition of one event type. */
export interface EventDefinition<Data = Payload, Enriched = Payload> {
  /** At most 200 characters; by convention `thing.happened`. */
  type: string
  /** The schema of the event's data as sent: TypeBox, or JSON Schema (2020-12) as `Type.Unsafe<Data>({ … })`. */
  schema: TSchema
  /**
   * Converts data of old schema versions: function 1 makes version 2 from version 1, and so on up to the version of
   * `schema`. For events whose `dataschema` names a version. A missing function means that the data does not change.
   */
  upcast?: Readonly<Record<number, (data: Payload) => Payload>>
  /**
   * The compatibility that a new `schema` must have with the registered versions. Default: the mode set over HTTP, or
   * BACKWARD.
   */
  compatibility?: CompatibilityMode
  /**
   * Where data is first validated: in the `worker` (the default; invalid events become dead letters), or already at
   * `ingest` (answered 422).
   */
  validateAt?: 'ingest' | 'worker'
  /** One sentence for the documentation. */
  description?: string
  /** Example data that can be sent unchanged; shown in the documentation. */
  example?: Data
  /** The ordering key, if the producer gave no `partitionkey`: a string or an integer; `undefined` for none. */
  key?: (data: Data) => string | number | bigint | undefined
  /** Run in this order; each sees the additions of the previous ones. */
  enrich?: readonly Enricher[]
  /**
   * Business rules, run after enrichment: return the problems of the event, if any. A problem is a permanent failure.
   */
  validate?: (event: AcceptedEvent<Enriched>) => readonly Problem[]
  /**
   * Effects, in the transaction that settles the event, so they happen exactly once. Not for work outside Postgres,
   * which may happen more than once, or for an event whose transaction fails.
   */
  handle?: (event: AcceptedEvent<Enriched>, tx: Sql) => Promise<void>
  /**
   * As `handle`, for all newly settled events of this type in the batch at once. A definition has only one of the two.
   */
  handleBatch?: (events: readonly AcceptedEvent<Enriched>[], tx: Sql) => Promise<void>
  /** Overrides the default of four attempts with at most 2 s, 4 s and 8 s between them. */
  retry?: Partial<RetryPolicy>
  /**
   * `key` (the default): events of one key are processed in order. `none`: events are independent, and a retry blocks
   * no other event.
   */
  order?: 'key' | 'none'
  /**
   * Runs once per start and database, before any event: creates the tables that the handlers write. Must be idempotent.
   */
  prepare?: (tx: Sql) => Promise<void>
}

/** A definition as users write it: `Data` is inferred from the schema, and the additions from the enrichers. */
type WrittenDefinition<Schema extends TSchema, Enrichers extends readonly unknown[]> = Omit<
  EventDefinition<Static<Schema>, EnrichedBy<Static<Schema>, Enrichers>>,
  'schema' | 'enrich'
> & { schema: Schema; enrich?: readonly [...Enrichers] }

const EVENT = {
  what: 'event type',
  named: 'type',
  mark: Symbol.for('eventflow.definition'),
  copied: { enrich: frozenList, retry: frozenObject, upcast: frozenObject, schema: withPrefixItems },
  mistakesIn: eventMistakes,
}

/**
 * Defines an event type. Use it as the default export of a file in the definitions folder:
 *
 * ```ts
 * import { type AcceptedEvent, defineEvent, derive, type Static, Type } from '@eventflow/sdk'
 *
 * const Order = Type.Object({ userId: Type.String(), net: Type.Integer(), tax: Type.Integer() })
 * type OrderEvent = AcceptedEvent<Static<typeof Order>>
 *
 * export default defineEvent({
 *   type: 'order.created',
 *   schema: Order,
 *   key: (order) => order.userId,
 *   enrich: [derive('total', ({ data }: OrderEvent) => ({ total: data.net + data.tax }))],
 *   validate: ({ data }) => (data.total > 0 ? [] : [{ pointer: '/net', message: 'an order must cost something' }]),
 *   handle: async ({ data }, tx) => {
 *     await tx.query('INSERT INTO orders (user_id, total) VALUES ($1, $2)', [data.userId, data.total])
 *   },
 * })
 * ```
 *
 * `key`, `validate` and the handlers get the types of the schema and of the enrichers' additions. Functions passed to
 * `derive` and the look-ups declare what they read by the type of their argument (`OrderEvent` above).
 *
 * Returns the definition, frozen. Throws at once, naming the type and each wrong field, also if the schema does not
 * compile or the example does not match it.
 */
export function defineEvent<Schema extends TSchema, Enrichers extends readonly Enricher<Static<Schema>, object>[]>(
  definition: WrittenDefinition<Schema, Enrichers>,
): EventDefinition {
  // Each event is checked against the schema before any of these functions sees it, so the data is a Payload from here
  // on.
  return makeDefinition(EVENT, definition) as EventDefinition
}

/** Whether `defineEvent` made the value. */
export function isEvent(value: unknown): value is EventDefinition {
  return isOfKind(EVENT, value)
}
