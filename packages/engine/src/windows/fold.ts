/** Folds events into the states of their panes: one state a pane, however many events a batch has of it. */
import { type AcceptedEvent, type Aggregation, failureOf, type Payload, PermanentError } from '@eventflow/core'
import type { LogDelivery } from '../groups/delivery.js'
import type { Refused } from '../groups/stateful.js'

/** The longest state of a pane, as JSON text. */
const MAX_STATE_LENGTH = 262_144

/** A state, and the most hops of its events. */
export interface Fold {
  state: Payload
  hops: number
}

const hopsOf = ({ hops = 0 }: Pick<AcceptedEvent, 'hops'>) => hops

/**
 * Adds events to a state. Events for which a function of the user throws are refused, and leave no trace. Returns
 * undefined if none is left.
 */
export function foldEvents(
  before: Fold | undefined,
  deliveries: readonly LogDelivery[],
  aggregation: Aggregation,
): { fold: Fold | undefined; refused: Refused[] } {
  const refused: Refused[] = []
  let left = deliveries
  for (;;) {
    const { fold, failed } = tryFold(before, left, aggregation)
    if (!failed) return { fold, refused }
    refused.push(...failed)
    const out = new Set(failed.map(({ delivery }) => delivery))
    left = left.filter((delivery) => !out.has(delivery))
  }
}

/** Stops at the first event that fails: the function may have changed the state by then. */
function tryFold(
  before: Fold | undefined,
  deliveries: readonly LogDelivery[],
  aggregation: Aggregation,
): { fold?: Fold; failed?: Refused[] } {
  if (deliveries.length === 0) return before ? { fold: before } : {}
  let state = aggregation.create()
  let hops = before?.hops ?? 0
  for (const delivery of deliveries) {
    try {
      state = aggregation.add(state, delivery.event)
    } catch (error) {
      return { failed: [refuse(delivery, error)] }
    }
    hops = Math.max(hops, hopsOf(delivery.event))
  }
  try {
    const merged = aggregation.stored(before ? aggregation.merge(before.state, state) : state)
    const { length } = JSON.stringify(merged)
    if (length <= MAX_STATE_LENGTH) return { fold: { state: merged, hops } }
    throw new PermanentError(
      `the state of its window would have ${length} characters of JSON, and ${MAX_STATE_LENGTH} are allowed`,
    )
  } catch (error) {
    return { failed: deliveries.map((delivery) => refuse(delivery, error)) }
  }
}

/** Another attempt would fail in the same way. */
export function refuse(delivery: LogDelivery, error: unknown): Refused {
  return { delivery, failure: { ...failureOf(error, 'handle'), failureType: 'permanent' } }
}
