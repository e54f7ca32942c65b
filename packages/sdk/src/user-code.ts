/**
 * The boundary to users' code: the only place that calls the functions of a definition and turns their behaviour into
 * an outcome. Types guarantee nothing here. A function may return anything, throw anything, never answer, or answer
 * twice.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { type Component, describeValue, type Failure, failureOf, ignorePromise } from '@eventflow/core'

/** The called function of a definition. */
export interface Called {
  /** The event type. */
  type: string
  /** The function's name in messages: `validate`, `enricher 'airports'`, `upcast[1]`. */
  name: string
  /** The name in dead letters: `enrich:airports`. */
  component: Component
}

/** The result of a call. */
export type Answer<Value> = { value: Value } | { failure: Failure }

/** The function returned a value of the wrong kind: it is at fault, and no later attempt can succeed. */
export class WrongAnswer extends Error {
  override name = 'WrongAnswer'

  /** Both texts are descriptions. */
  constructor(answered: string, expected: string) {
    super(`answered ${answered}; expected ${expected}`)
  }
}

/**
 * Calls a function that must answer synchronously. `read` extracts the value of an answer, or throws WrongAnswer. A
 * promise is a wrong answer; its later rejection is ignored.
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

/** A call in progress; `fail` ends it. */
interface Running {
  called: Called
  fail: (error: unknown) => void
}

const running = new AsyncLocalStorage<Running>()

/**
 * Calls a function that may return a promise, and waits for it and for `read` for at most `limitMs`; after that the
 * call has failed, and any later result is ignored. A rejection that the function leaves unhandled fails it too. When
 * `abandon` is aborted the call ends as if its dependency were down: the event is not blamed. Never rejects.
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
 * Fails the call in progress that an unhandled rejection or exception comes from, and returns the function, also when
 * its call is over; `undefined` if the error comes from no call. To be used by the process's own listener, which runs
 * in the context of the rejected promise.
 */
export function failRunningCall(error: unknown): Called | undefined {
  const call = running.getStore()
  call?.fail(new Unhandled(error))
  return call?.called
}

/** Carries an unhandled error to the failure of its call. */
class Unhandled {
  constructor(readonly error: unknown) {}
}

/** The failure of a call that threw. Names the function if the error itself cannot. */
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

/** A WrongAnswer that describes the value. */
export function wrongAnswer(answer: unknown, expected: string): WrongAnswer {
  return new WrongAnswer(describeValue(answer), expected)
}
