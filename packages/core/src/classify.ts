/** Decides what a failure means for its event: retry or give up. */
import { describeValue, isError, propertyOf } from './describe-value.js'
import type { Problem } from './failure.js'
import type { Attempt, Component, Delivery, Failed, Failure, Retry, Wait } from './outcome.js'
import { backoffMs, type RetryPolicy, withFullJitter } from './retry-policy.js'
import { storableText } from './storable.js'

/**
 * Maximum characters of a failure's message and of the texts of its problems; an error's own text may have any length.
 */
const MAX_MESSAGE = 2_000
const MAX_NAME = 200

/** Maximum problems kept of an error; its list may have any length. */
const MAX_PROBLEMS = 100

/**
 * Describes what was thrown by `component`. It may be any value: properties that throw when they are read, texts that
 * cannot be stored and endless texts still make a failure like any other. Anything not known to be permanent is
 * transient. Errors are recognized by their names, because a user's definitions may load another copy of these classes.
 */
export function failureOf(error: unknown, component: Component): Failure {
  const name = nameOf(error)
  const failureType =
    name === 'PermanentError' ? 'permanent' : name === 'UnavailableError' ? 'unavailable' : 'transient'
  return {
    component,
    failureType,
    errorClass: errorClassOf(error),
    message: storableText(messageOf(error, name), MAX_MESSAGE),
    problems: failureType === 'permanent' ? (problemsIn(propertyOf(error, 'problems')) ?? []) : [],
  }
}

/** The error class in dead letters; `Error` for a value that is not an error. */
export function errorClassOf(error: unknown): string {
  return storableText(nameOf(error) ?? 'Error', MAX_NAME)
}

/** The name of an error; `undefined` for other values. */
function nameOf(error: unknown): string | undefined {
  if (!isError(error)) return undefined
  const name = propertyOf(error, 'name')
  return typeof name === 'string' && name !== '' ? name : 'Error'
}

/** The error's own text. Node leaves it empty after it tried several addresses, and sets only a code. */
function messageOf(error: unknown, name: string | undefined): string {
  if (typeof error === 'string' && error !== '') return error
  const texts = [propertyOf(error, 'message'), propertyOf(error, 'code')]
  const text = texts.find((text) => typeof text === 'string' && text !== '') as string | undefined
  if (text !== undefined) return text
  if (name === undefined) return `${describeValue(error)} was thrown, which is no error`
  return name === 'Error' ? 'an error without a text' : name
}

/**
 * A list of problems as plain values with storable texts, or `undefined` if the value is not such a list. A list that
 * is too long is truncated.
 */
export function problemsIn(value: unknown): Problem[] | undefined {
  if (!Array.isArray(value)) return undefined
  const problems: Problem[] = []
  const length = Math.min(value.length, MAX_PROBLEMS)
  for (let i = 0; i < length; i++) {
    const problem: unknown = propertyOf(value, String(i))
    const pointer = propertyOf(problem, 'pointer')
    const message = propertyOf(problem, 'message')
    if (typeof pointer !== 'string' || typeof message !== 'string') return undefined
    problems.push({ pointer: storableText(pointer, MAX_MESSAGE), message: storableText(message, MAX_MESSAGE) })
  }
  return problems
}

/** Whether an error says that a dependency is down, so that an immediate retry would be pointless. */
export function isUnavailable(error: unknown): boolean {
  return nameOf(error) === 'UnavailableError'
}

/** How long an event waits for a dependency that is down before it tries again, in milliseconds. */
const UNAVAILABLE_DELAY_MS = 1_000

/**
 * The outcome of a failed attempt: a dead letter if the failure is permanent or was the last attempt, waiting if
 * nothing was tried, otherwise a retry. `random` is in [0, 1).
 */
export function outcomeOfFailure(
  delivery: Delivery,
  failure: Failure,
  policy: RetryPolicy,
  random: number,
): Retry | Failed | Wait {
  if (failure.failureType === 'unavailable') return { kind: 'wait', delivery, failure, delayMs: UNAVAILABLE_DELAY_MS }
  const attempts = delivery.attempts + 1
  if (failure.failureType === 'permanent' || attempts >= policy.attempts) return { kind: 'failed', delivery, failure }
  return { kind: 'retry', delivery, failure, delayMs: withFullJitter(backoffMs(attempts, policy), random) }
}

/** The history of a delivery including the failure that has just ended its attempt. */
export function historyWith(delivery: Delivery, failure: Failure, at: Date): Attempt[] {
  const { component, errorClass, message } = failure
  return [...delivery.history, { attempt: delivery.attempts + 1, at: at.toISOString(), component, errorClass, message }]
}
