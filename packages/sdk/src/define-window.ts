/** The window definition: users write one file per window, with a default export made by `defineWindow`. */
import type { Aggregate, Payload, Windows, WrittenEventTime } from '@eventflow/core'
import type { ConsumerDefinition } from './define-consumer.js'
import { frozenList, frozenObject, isOfKind, makeDefinition } from './definition-kind.js'
import type { Sql } from './enricher.js'
import { windowMistakes } from './window-mistakes.js'

/** What a window has to say once it is closed. `Results` has the result of each aggregate, by its name. */
export type WindowResult<Results = Payload> = {
  tenantId: string
  /** The ordering key of the events in the window. */
  key: string
  /** When the window begins, RFC 3339 in UTC. A session begins with its first event. */
  start: string
  /** When the window ends, RFC 3339 in UTC. The end is not part of the window; a session ends with its last event. */
  end: string
} & Results

/**
 * The definition of a window: it groups the events of a key by event time, and aggregates each group. `Data` is the
 * enriched data of the events, and `Results` the results of the aggregates by their names.
 */
export interface WindowDefinition<Data = Payload, Results extends Payload = Payload>
  extends Pick<ConsumerDefinition, 'name' | 'description' | 'from' | 'onPoison' | 'onLostHistory' | 'prepare'> {
  /**
   * A whole number from 1, the default. A definition that changes needs a new version, which is computed again from the
   * log.
   */
  version?: number
  /** The event types to read; at least one. */
  on: readonly string[]
  /** The result of `tumbling`, `hopping`, `session` or `calendar`. */
  window: Windows
  /** When event time passes, and with it when windows close. */
  time?: WrittenEventTime
  /**
   * What is computed of each window: 1 to 50 aggregates. A name has 1 to 100 letters, digits, `_` and `-`, and is none
   * of `tenantId`, `key`, `start` and `end`.
   */
  aggregate: { readonly [Name in keyof Results]: Aggregate<Data, Results[Name]> }
  /**
   * What becomes of an event whose windows are closed: a row of `late_events` (`record`, the default), or a dead letter
   * of the group.
   */
  late?: 'record' | 'dead-letter'
  /** The type of the event that is emitted for each result. Default: none. */
  emit?: string
  /** Effects of one result, in the transaction that closes the window, so they happen exactly once. */
  onResult?: (result: WindowResult<Results>, tx: Sql) => Promise<void>
  /** Undoes the effects of `onResult`. Runs in the transaction that moves the group to an earlier position. */
  reset?: (tx: Sql) => Promise<void>
}

/** A list stays one, so that the check refuses it. */
const frozenAggregates = (value: unknown) => (Array.isArray(value) ? frozenList(value) : frozenObject(value))

const WINDOW = {
  what: 'window',
  named: 'name',
  mark: Symbol.for('eventflow.window'),
  copied: { on: frozenList, from: frozenObject, time: frozenObject, aggregate: frozenAggregates },
  mistakesIn: windowMistakes,
}

/**
 * Defines a window. Use it as the default export of a file in the definitions folder:
 *
 * ```ts
 * import { type AcceptedEvent, count, defineWindow, sum, tumbling } from '@eventflow/sdk'
 *
 * export default defineWindow({
 *   name: 'revenue-by-hour',
 *   on: ['payment.captured'],
 *   window: tumbling('1h'),
 *   time: { outOfOrderness: '30s' },
 *   aggregate: {
 *     payments: count(),
 *     revenue: sum(({ data }: AcceptedEvent<{ amount: number }>) => data.amount),
 *   },
 *   onResult: async ({ key, start, revenue }, tx) => {
 *     await tx.query('INSERT INTO revenue (shop, hour, amount) VALUES ($1, $2, $3)', [key, start, revenue])
 *   },
 * })
 * ```
 *
 * Returns the definition, frozen. Throws at once, naming the window and each wrong field.
 */
export function defineWindow<Data = Payload, Results extends Payload = Payload>(
  definition: WindowDefinition<Data, Results>,
): WindowDefinition {
  return makeDefinition(WINDOW, definition) as WindowDefinition
}

/** Whether `defineWindow` made the value. */
export function isWindow(value: unknown): value is WindowDefinition {
  return isOfKind(WINDOW, value)
}
