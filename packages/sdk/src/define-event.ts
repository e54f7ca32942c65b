/** What a user writes: one file an event type, its default export made by `defineEvent`. */
import type { AcceptedEvent, CompatibilityMode, Payload, Problem, RetryPolicy } from '@eventflow/core'
import type { Static, TSchema } from '@sinclair/typebox'
import { mistakesIn, shown } from './definition-mistakes.js'
import type { EnrichedBy, Enricher, Sql } from './enricher.js'
import { withPrefixItems } from './prefix-items.js'

/** Everything EventFlow needs to know about one event type. */
export interface EventDefinition<Data = Payload, Enriched = Payload> {
  /** At most 200 characters; by convention `thing.happened`. */
  type: string
  /** Of the event's data, as it was sent. TypeBox, or JSON Schema (2020-12) as `Type.Unsafe<Data>({ … })`. */
  schema: TSchema
  /**
   * Lifts the data of old versions: the function under 1 makes version 2 of version 1, and so on up to the version of `schema`.
   * For events whose `dataschema` names a version; where one is missing nothing changes between the two versions.
   */
  upcast?: Readonly<Record<number, (data: Payload) => Payload>>
  /** What a new `schema` must be to the registered versions; as it was set over HTTP, or BACKWARD, where it is missing. */
  compatibility?: CompatibilityMode
  /** Where data is checked first: in the `worker` (the default), as a dead letter, or at `ingest` already, as a 422. */
  validateAt?: 'ingest' | 'worker'
  /** One sentence for people: shown in the documentation. */
  description?: string
  /** The data of an event that people can send as it is: shown in the documentation. */
  example?: Data
  /** What order is kept by, when the producer gave no `partitionkey`: a text or an integer. `undefined` where there is none. */
  key?: (data: Data) => string | number | bigint | undefined
  /** Run in this order; each sees what those before it added. */
  enrich?: readonly Enricher[]
  /** Business rules, after enrichment: what is wrong with the event, or nothing. A problem is a permanent failure. */
  validate?: (event: AcceptedEvent<Enriched>) => readonly Problem[]
  /**
   * Effects, in the transaction that settles the event: they happen exactly once.
   * Not for work outside Postgres: that may happen more than once, or for an event whose transaction fails.
   */
  handle?: (event: AcceptedEvent<Enriched>, tx: Sql) => Promise<void>
  /** As `handle`, for all newly settled events of this type in the batch at once. A definition has one of the two. */
  handleBatch?: (events: readonly AcceptedEvent<Enriched>[], tx: Sql) => Promise<void>
  /** What differs from four attempts with at most 2 s, 4 s and 8 s between them. */
  retry?: Partial<RetryPolicy>
  /** `key` (the default): a key's events one after the other. `none`: a retry does not block later events. */
  order?: 'key' | 'none'
  /** Once per start and database, before any event: makes the tables that the handlers write. Must be idempotent. */
  prepare?: (tx: Sql) => Promise<void>
}

/** A definition as it is written: `Data` is the type of the schema, and the enrichers' additions are known by type. */
type WrittenDefinition<Schema extends TSchema, Enrichers extends readonly unknown[]> = Omit<
  EventDefinition<Static<Schema>, EnrichedBy<Static<Schema>, Enrichers>>,
  'schema' | 'enrich'
> & { schema: Schema; enrich?: readonly [...Enrichers] }

/**
 * Marks the results of `defineEvent`. A copy with other fields loses the mark, because it was not checked.
 * A registered symbol, because a definition may come from another copy of this module.
 */
const DEFINITION = Symbol.for('eventflow.definition')

/**
 * Defines an event type. The default export of a file in the definitions folder:
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
 * `key`, `validate` and the handlers see the type of the schema and of what the enrichers add. Functions that are given
 * to `derive` and the look-ups say what they read by the type of their argument (`OrderEvent` above).
 *
 * Gives the definition, frozen. Throws at once, naming the type and each field that is wrong, also when the schema
 * does not compile or the example does not match it.
 */
export function defineEvent<Schema extends TSchema, Enrichers extends readonly Enricher<Static<Schema>, object>[]>(
  definition: WrittenDefinition<Schema, Enrichers>,
): EventDefinition {
  const copy = copyOf(definition)
  const mistakes = mistakesIn(copy)
  if (mistakes.length > 0) {
    throw new TypeError(`the definition of event type ${nameOf(copy)} is wrong:\n  ${mistakes.join('\n  ')}`)
  }
  // Each event is checked against the schema before any of these functions sees it: from here on the data is a Payload.
  return Object.freeze(Object.defineProperty(copy, DEFINITION, { value: true })) as unknown as EventDefinition
}

/** Each field is read once: what was checked is what is used, even if the object, or a getter in it, changes later. */
function copyOf(definition: unknown): unknown {
  try {
    if (typeof definition !== 'object' || definition === null) return definition
    const copy: Record<string, unknown> = { ...definition }
    if (Array.isArray(copy.enrich)) copy.enrich = Object.freeze([...copy.enrich])
    for (const field of ['retry', 'upcast']) {
      const value = copy[field]
      if (typeof value === 'object' && value !== null) copy[field] = Object.freeze({ ...value })
    }
    if (copy.schema !== undefined) copy.schema = withPrefixItems(copy.schema)
    return copy
  } catch (cause) {
    throw new TypeError(`reading a definition threw ${shown(cause)}`, { cause })
  }
}

function nameOf(definition: unknown): string {
  const { type } = (definition ?? {}) as { type?: unknown }
  return typeof type === 'string' ? JSON.stringify(type) : shown(type)
}

/** Whether `defineEvent` made this. */
export function isDefinition(value: unknown): value is EventDefinition {
  try {
    return typeof value === 'object' && value !== null && DEFINITION in value
  } catch {
    return false // a proxy that throws
  }
}
