/** The consumer definition: users write one file per consumer group, with a default export made by `defineConsumer`. */
import type { AcceptedEvent, Payload, RetryPolicy } from '@eventflow/core'
import { consumerMistakes } from './consumer-mistakes.js'
import { frozenList, frozenObject, isOfKind, makeDefinition } from './definition-kind.js'
import type { Sql } from './enricher.js'

/** An event that a handler emits. */
export interface EmittedEvent {
  type: string
  data: Payload
  /** The ordering key. Default: the `key` of the consumer's definition, or else the key of the source event. */
  key?: string
  /** Event time, RFC 3339. Default: that of the source event. */
  time?: string
  source?: string
}

/** The transaction of a batch of a consumer group. */
export interface ConsumerTx extends Sql {
  /**
   * Emits an event in this transaction: it is accepted if and only if the transaction commits. `cause` is the event of
   * the batch that leads to it: required in `handleBatch`, and in `handle` the event that is handled.
   */
  emit(event: EmittedEvent, cause?: AcceptedEvent): Promise<void>
}

/**
 * The definition of a consumer group: a reader of the processed events with a position of its own. `Data` is the
 * enriched data of the events.
 */
export interface ConsumerDefinition<Data = Payload> {
  /** 1 to 100 lower-case letters, digits, `-`, `_` and `.`, beginning with a letter. */
  name: string
  /** A whole number from 1, the default. A new version goes on where the one before stopped. */
  version?: number
  /** One sentence for the documentation. */
  description?: string
  /** The event types to read; at least one. */
  events: readonly string[]
  /**
   * Where a new group begins: with the oldest event that is kept, with the first one after its creation (`latest`, the
   * default), at a time (RFC 3339), or at a position. A group that exists goes on where it stopped.
   */
  from?: 'earliest' | 'latest' | { time: string } | { position: number }
  /**
   * Effects of one event, in the transaction that moves the group's position, so they happen exactly once. Not for work
   * outside Postgres, which may happen more than once. A definition has either this or `handleBatch`.
   */
  handle?: (event: AcceptedEvent<Data>, tx: ConsumerTx) => Promise<void>
  /** As `handle`, for all events of a batch at once. */
  handleBatch?: (events: readonly AcceptedEvent<Data>[], tx: ConsumerTx) => Promise<void>
  /** The ordering key of emitted events that name none. Default: the key of the source event. */
  key?: (event: AcceptedEvent<Data>) => string
  /**
   * `key` (the default): events of one key are handled in order. `none`: events are independent, and a retry blocks no
   * other event.
   */
  order?: 'key' | 'none'
  /** Overrides the default of four attempts with at most 2 s, 4 s and 8 s between them. */
  retry?: Partial<RetryPolicy>
  /**
   * What an event does that fails its last attempt: it becomes a dead letter of the group (`dead-letter`, the default),
   * or it makes the group pause.
   */
  onPoison?: 'dead-letter' | 'pause'
  /** What the group does if events that it has not read were removed: it pauses (the default), or goes on behind them. */
  onLostHistory?: 'pause' | 'skip'
  /** Undoes the group's effects. Runs in the transaction that moves the group to an earlier position. */
  reset?: (tx: Sql) => Promise<void>
  /**
   * Runs once per start and database, before any event: creates the tables that the handlers write. Must be idempotent.
   */
  prepare?: (tx: Sql) => Promise<void>
}

const CONSUMER = {
  what: 'consumer',
  named: 'name',
  mark: Symbol.for('eventflow.consumer'),
  copied: { events: frozenList, from: frozenObject, retry: frozenObject },
  mistakesIn: consumerMistakes,
}

/**
 * Defines a consumer group. Use it as the default export of a file in the definitions folder:
 *
 * ```ts
 * import { type AcceptedEvent, defineConsumer } from '@eventflow/sdk'
 *
 * export default defineConsumer({
 *   name: 'invoicing',
 *   events: ['payment.captured'],
 *   handle: async ({ data }: AcceptedEvent<{ orderId: string; amount: number }>, tx) => {
 *     await tx.query('INSERT INTO invoices (order_id, amount) VALUES ($1, $2)', [data.orderId, data.amount])
 *     await tx.emit({ type: 'invoice.issued', data: { orderId: data.orderId } })
 *   },
 * })
 * ```
 *
 * Returns the definition, frozen. Throws at once, naming the consumer and each wrong field.
 */
export function defineConsumer<Data = Payload>(definition: ConsumerDefinition<Data>): ConsumerDefinition {
  return makeDefinition(CONSUMER, definition) as ConsumerDefinition
}

/** Whether `defineConsumer` made the value. */
export function isConsumer(value: unknown): value is ConsumerDefinition {
  return isOfKind(CONSUMER, value)
}
