/** Poison: an event that crashes its worker or blocks its event loop. */
import type { Delivery, Failed, Failure } from '@eventflow/core'

/** An event fails once its worker has died this many times while it processed only this event. */
const MAX_CRASHES_ALONE = 3

/**
 * One more: the first counted crash happened while the event was processed with others, or is the one with which the
 * replay of a poison event starts.
 */
const MAX_CRASHES = 1 + MAX_CRASHES_ALONE

/**
 * Returns the failed outcome if the event has crashed too many workers, else an empty list. `delivery.crashes` includes
 * the attempt that is about to start.
 */
export function poisoned(delivery: Delivery): Failed[] {
  if (delivery.crashes <= MAX_CRASHES) return []
  const message =
    `its worker crashed or lost its lease ${MAX_CRASHES_ALONE} times while it processed only this event: with this event, a definition ` +
    'may end the process, block its event loop or run out of memory; see the logs of the workers'
  const failure: Failure = {
    component: 'worker',
    failureType: 'permanent',
    errorClass: 'Poison',
    message,
    problems: [],
  }
  return [{ kind: 'failed', delivery, failure }]
}
