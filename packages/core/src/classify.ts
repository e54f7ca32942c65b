/** What a failure means for its event: try again, or give up. */
import type { AcceptedEvent } from './event.js'
import type { PermanentError } from './failure.js'
import type { Attempt, Dead, Delivery, Failure, Retry, Wait } from './outcome.js'
import { backoffMs, type RetryPolicy, withFullJitter } from './retry-policy.js'

/**
 * Describes an error that was thrown by `component`. Whatever is not known to be permanent is transient.
 * Errors are told by their names, because a user's definitions may bring another copy of these classes.
 */
export function failureOf(error: unknown, component: string): Failure {
  const name = error instanceof Error ? error.name : undefined
  const failureType = name === 'PermanentError' ? 'permanent' : isUnavailable(error) ? 'unavailable' : 'transient'
  return {
    component,
    failureType,
    errorClass: textOf(name ?? 'Error'),
    message: textOf(error instanceof Error ? error.message : error),
    problems: failureType === 'permanent' ? ((error as PermanentError).problems ?? []) : [],
  }
}

/** Anything can be thrown, also what has no text; and `message` may be anything. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    return 'an error without a text'
  }
}

/** Whether an error says that a dependency is down, so that asking it again now is in vain. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof Error && error.name === 'UnavailableError'
}

/** How long an event waits for a dependency that is down, before it asks again, in milliseconds. */
const UNAVAILABLE_DELAY_MS = 1_000

/**
 * The outcome of a failed attempt: dead when the failure is permanent or was the last attempt, waiting when nothing
 * was tried, otherwise a retry. `random` is in [0, 1).
 */
export function outcomeOfFailure(
  delivery: Delivery,
  failure: Failure,
  policy: RetryPolicy,
  random: number,
): Retry | Dead | Wait {
  if (failure.failureType === 'unavailable') return { kind: 'wait', delivery, failure, delayMs: UNAVAILABLE_DELAY_MS }
  const attempts = delivery.attempts + 1
  if (failure.failureType === 'permanent' || attempts >= policy.attempts) return { kind: 'dead', delivery, failure }
  return { kind: 'retry', delivery, failure, delayMs: withFullJitter(backoffMs(attempts, policy), random) }
}

/** The history of a delivery with the failure that has just ended its attempt. */
export function historyWith(delivery: Delivery, failure: Failure, at: Date): Attempt[] {
  const { component, errorClass, message } = failure
  return [...delivery.history, { attempt: delivery.attempts + 1, at: at.toISOString(), component, errorClass, message }]
}

/** What order is kept by, as one text: keys of two tenants never meet. */
export function orderingKey(event: Pick<AcceptedEvent, 'tenantId' | 'key'>): string {
  return `${event.tenantId}\0${event.key}`
}
