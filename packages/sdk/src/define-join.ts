/** The join definition: users write one file per join, with a default export made by `defineJoin`. */
import type { AcceptedEvent, JoinBounds, JoinKind, JoinMatch, Payload, WrittenEventTime } from '@eventflow/core'
import type { ConsumerDefinition } from './define-consumer.js'
import { frozenObject, isOfKind, makeDefinition } from './definition-kind.js'
import { joinMistakes } from './join-mistakes.js'

/**
 * The definition of a join: it pairs events of two types that have the same ordering key. `Left` and `Right` are the
 * enriched data of the two.
 */
export interface JoinDefinition<Left = Payload, Right = Payload, Kind extends JoinKind = JoinKind>
  extends Pick<ConsumerDefinition, 'name' | 'description' | 'from' | 'onPoison' | 'onLostHistory'> {
  /**
   * A whole number from 1, the default. A definition that changes needs a new version, which is computed again from the
   * log.
   */
  version?: number
  /** The event type of the left side. */
  left: string
  /** The event type of the right side. May be that of the left: no event is joined with itself. */
  right: string
  /**
   * `inner` (the default): pairs only. `left`: also each left event that nothing is joined with. `outer`: also each
   * event of either side that nothing is joined with. An event is alone for certain once event time has passed its
   * bounds.
   */
  kind?: Kind
  /**
   * How far apart two events may be; both bounds are inclusive. A right event may occur from `before` before the left
   * one to `after` after it. Both are required, but with `match: 'latest'`: there, `before` is refused, and without
   * `after` a left event is valid until the next one of its key.
   */
  within?: JoinBounds
  /**
   * Which of the left events within the bounds a right one is joined with. `all` (the default): all of them. `first`:
   * the one with the earliest time. `latest`: the one with the latest time that is not after its own, as the user
   * of a payment when it was made. `first` and `latest` wait until event time has decided which one it is.
   */
  match?: JoinMatch
  /** The most events of a key that wait on one side, from 1 to 100,000; one more is a dead letter. Default: 1,000. */
  maxPerKey?: number
  /** When event time passes, and with it when events are no longer waited for. */
  time?: WrittenEventTime
  /**
   * Makes the data of the event that is emitted for a pair; `undefined` or `null` for no event. The side that is missing
   * is `null`. Must be pure: it may run more than once.
   */
  select: (left: JoinedLeft<Left, Kind>, right: JoinedRight<Right, Kind>) => Payload | null | undefined
  /** The type of the events that are emitted. Their key is that of the two events. */
  emit: string
  /**
   * What becomes of an event that comes after event time has passed its own: a row of `late_events` (`record`, the
   * default), or a dead letter of the group.
   */
  late?: 'record' | 'dead-letter'
}

/** A left event; `null` if a right one is alone. */
export type JoinedLeft<Data, Kind extends JoinKind> = Kind extends 'outer'
  ? AcceptedEvent<Data> | null
  : AcceptedEvent<Data>

/** A right event; `null` if a left one is alone. */
export type JoinedRight<Data, Kind extends JoinKind> = Kind extends 'inner'
  ? AcceptedEvent<Data>
  : AcceptedEvent<Data> | null

const JOIN = {
  what: 'join',
  named: 'name',
  mark: Symbol.for('eventflow.join'),
  copied: { from: frozenObject, within: frozenObject, time: frozenObject },
  mistakesIn: joinMistakes,
}

/**
 * Defines a join. Use it as the default export of a file in the definitions folder:
 *
 * ```ts
 * import { type AcceptedEvent, defineJoin } from '@eventflow/sdk'
 *
 * type Order = AcceptedEvent<{ orderId: string }>
 * type Payment = AcceptedEvent<{ amount: number }>
 *
 * export default defineJoin({
 *   name: 'orders-with-payments',
 *   left: 'order.created',
 *   right: 'payment.captured',
 *   kind: 'left',
 *   within: { before: '0s', after: '10m' },
 *   select: (order: Order, payment: Payment | null) => ({
 *     orderId: order.data.orderId,
 *     paid: payment === null ? 0 : payment.data.amount,
 *   }),
 *   emit: 'order.settled',
 * })
 * ```
 *
 * Returns the definition, frozen. Throws at once, naming the join and each wrong field.
 */
export function defineJoin<Left = Payload, Right = Payload, Kind extends JoinKind = 'inner'>(
  definition: JoinDefinition<Left, Right, Kind>,
): JoinDefinition {
  return makeDefinition(JOIN, definition) as JoinDefinition
}

/** Whether `defineJoin` made the value. */
export function isJoin(value: unknown): value is JoinDefinition {
  return isOfKind(JOIN, value)
}
