/** Poison: an event that ends its worker, or keeps it from everything else. */
import type { Delivery, Failed, Failure } from '@eventflow/core'

/** An event that was alone in hand when its worker died, this often, is dead. */
const MAX_CRASHES_ALONE = 3

/** It went with others, or was replayed, when it was first counted. */
const MAX_CRASHES = 1 + MAX_CRASHES_ALONE

/**
 * The outcome of an event that has killed too many workers, or none. `crashes` counts the attempt that is to be made
 * now.
 */
export function poisoned(delivery: Delivery): Failed[] {
  if (delivery.crashes <= MAX_CRASHES) return []
  const message =
    `its worker ended, or lost its lease, ${MAX_CRASHES_ALONE} times while it had this event alone in hand: the event may make a ` +
    'definition end the process, keep its event loop busy, or need more memory than there is; the logs of the workers say more'
  const failure: Failure = {
    component: 'worker',
    failureType: 'permanent',
    errorClass: 'Poison',
    message,
    problems: [],
  }
  return [{ kind: 'failed', delivery, failure }]
}
