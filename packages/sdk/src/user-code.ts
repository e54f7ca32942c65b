/**
 * The border with users' code: the one place that calls the functions of a definition and turns into an outcome what they do.
 * Nothing that types say holds here. A function may answer anything, throw anything, never answer, or answer twice.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { describeValue, type Failure, failureOf, isPromiseLike } from '@eventflow/core'

/** A function of a definition that is called. */
export interface Called {
  /** The event type. */
  type: string
  /** The function as messages say it: `validate`, `enricher 'airports'`, `upcast[1]`. */
  name: string
  /** As dead letters have it: `enrich:airports`. */
  component: string
}

/** What came of a call. */
export type Answer<Value> = { value: Value } | { failure: Failure }

/** An answer is of the wrong kind: no later attempt can succeed, as it is the function that is at fault. */
export class WrongAnswer extends Error {
  override name = 'WrongAnswer'

  /** Both in words. */
  constructor(answered: string, expected: string) {
    super(`answered ${answered}; expected ${expected}`)
  }
}

/**
 * Calls a function that must answer at once. `read` gives the value of an answer, or throws WrongAnswer. A promise is a wrong
 * answer; if it is rejected later, that is ignored.
 */
export function answerOf<Value>(
  called: Called,
  call: () => unknown,
  expected: string,
  read: (answer: unknown) => Value,
): Answer<Value> {
  try {
    const answer = call()
    if (ignorePromise(answer)) {
      throw new WrongAnswer('a promise', `${expected}, synchronously (the function must not be async)`)
    }
    return { value: read(answer) }
  } catch (error) {
    return { failure: failureOfCall(called, error) }
  }
}

/** A call that is under way; `fail` ends it. */
interface Running {
  called: Called
  fail: (error: unknown) => void
}

const running = new AsyncLocalStorage<Running>()

/**
 * Calls a function that may answer with a promise, and waits for it and for `read` for `limitMs` at the most; after that the
 * call has failed, and what still comes of it is ignored. A rejection that the function leaves unhandled fails it too. When
 * `abandon` is aborted the call ends as if its dependency were away: nothing is known of its event. Never rejects.
 */
export function answerInTime<Value>(
  called: Called,
  limitMs: number,
  call: () => unknown,
  read: (answer: unknown) => Value | Promise<Value>,
  abandon?: AbortSignal,
): Promise<Answer<Value>> {
  return new Promise((resolve) => {
    const end = (answer: Answer<Value>) => {
      clearTimeout(timer)
      abandon?.removeEventListener('abort', stop)
      resolve(answer)
    }
    const fail = (error: unknown) => end({ failure: failureOfCall(called, error) })
    const stop = () => end({ failure: abandoned(called) })
    const timer = setTimeout(() => end({ failure: timeoutOf(called, limitMs) }), limitMs)
    if (abandon?.aborted) return stop()
    abandon?.addEventListener('abort', stop)
    const ask = async () => read(await call())
    running.run({ called, fail }, ask).then((value) => end({ value }), fail)
  })
}

/**
 * Fails the call that an unhandled rejection or exception comes from, if it is still under way, and says which it is; gives nothing
 * where it comes from no call. To be asked by the process's own listener, which runs in the context of the rejected promise.
 */
export function failRunningCall(error: unknown): Called | undefined {
  const call = running.getStore()
  call?.fail(new Unhandled(error))
  return call?.called
}

/** Carries what a call left unhandled to its failure. */
class Unhandled {
  constructor(readonly error: unknown) {}
}

/** The failure of a call that threw. Which function it was is said where the error cannot say it itself. */
function failureOfCall(called: Called, error: unknown): Failure {
  if (error instanceof Unhandled) {
    const failure = failureOf(error.error, called.component)
    return {
      ...failure,
      message: `${fullNameOf(called)} left an error unhandled (a missing await?): ${failure.message}`,
    }
  }
  const failure = failureOf(error, called.component)
  if (!(error instanceof WrongAnswer)) return failure
  return { ...failure, failureType: 'permanent', message: `${fullNameOf(called)} ${failure.message}` }
}

function timeoutOf(called: Called, limitMs: number): Failure {
  const message = `${fullNameOf(called)} did not answer within ${limitMs / 1_000} s`
  return { ...failureOf(message, called.component), errorClass: 'Timeout' }
}

function abandoned(called: Called): Failure {
  const message = `${fullNameOf(called)} was still running when the worker stopped`
  return { ...failureOf(message, called.component), failureType: 'unavailable', errorClass: 'Stopped' }
}

const fullNameOf = ({ type, name }: Called) => `${name} of '${type}'`

/** Whether an answer is a promise; its rejection is heard, which would reach the process otherwise. */
export function ignorePromise(answer: unknown): boolean {
  if (!isPromiseLike(answer)) return false
  new Promise((resolve) => resolve(answer)).catch(() => {})
  return true
}

/** The wrong answer that a value is. */
export function wrongAnswer(answer: unknown, expected: string): WrongAnswer {
  return new WrongAnswer(describeValue(answer), expected)
}
