/**
 * Judges the call of a handler: whether it failed, and whether the handler is at fault or perhaps the server. The
 * judgement is based on the errors of its statements.
 */
import { type Failure, failureOf, isPromiseLike } from '@eventflow/core'
import { sqlErrorKind, type Use } from '@eventflow/db'
import type { Answer } from '@eventflow/sdk/user-code'

export interface HandlerFailure {
  failure: Failure
  /**
   * The server or another transaction may be at fault. If it happens several times in a row while Postgres answers, the
   * handler is blamed nevertheless.
   */
  excusable: boolean
}

/** The call of a handler failed for one of these events. */
export class HandlerError extends Error {
  readonly failure: Failure
  readonly excusable: boolean

  constructor(
    { failure, excusable }: HandlerFailure,
    /** The seqs of these events. */
    readonly seqs: readonly number[],
    /** None of them failed: together they took too long for one transaction. */
    readonly tookTooLong = false,
  ) {
    super(failure.message)
    this.name = failure.errorClass
    this.failure = failure
    this.excusable = excusable
  }

  /** Whether another try would probably take as long as a call may. */
  get isSlow(): boolean {
    return this.excusable || this.failure.errorClass === TIMEOUT
  }
}

const TIMEOUT = 'Timeout'

/** The failure's name, used where an error's name would be. */
const MISSING_AWAIT = 'MissingAwait'

/** Thrown if a handler's answer shows a missing await. */
class MissingAwaitError extends Error {
  override name = MISSING_AWAIT
}

/**
 * Checks the answer of a handler, which is ignored. Throws if it is a list with promises: the handler has ended without
 * awaiting them.
 */
export function nothingIn(answer: unknown): void {
  if (!Array.isArray(answer) || !answer.some(isPromiseLike)) return
  void Promise.allSettled(answer)
  throw new MissingAwaitError('it returned a list of promises: await Promise.all(…) of them')
}

interface Call {
  /** The name in messages. */
  name: string
  answer: Answer<void>
  /** What the handler threw, if it did. */
  thrown: { error: unknown } | undefined
  isTimeout: boolean
  use: Use
}

/** Returns what was wrong with a call; undefined if it succeeded. */
export function failureIn({ name, answer, thrown, isTimeout, use }: Call): HandlerFailure | undefined {
  const own = (failure: Failure): HandlerFailure => ({ failure, excusable: false })
  const says = (errorClass: string, message: string) =>
    own({ ...failureOf(message, 'handle'), errorClass, message: `${name} ${message}` })
  if (use.misuse) return says('TransactionMisuse', `must leave its transaction as it is: ${use.misuse}`)
  const kind = sqlErrorKind(use.error)
  if (kind === 'conflict' || kind === 'infrastructure')
    return { failure: failureOfStatement(use.error), excusable: true }
  if (isTimeout && 'failure' in answer) return { failure: answer.failure, excusable: use.pending > 0 }
  if (thrown && thrown.error === use.error) return own(failureOfStatement(use.error))
  if ('failure' in answer) return own(named(answer.failure, name))
  if (use.pending > 0) return says(MISSING_AWAIT, 'returned while a statement of tx was still running: await it')
  if (use.error === undefined) return undefined
  const { message } = failureOf(use.error, 'handle')
  return says('RolledBackError', `caught an error of its statement, but that had ended the transaction: ${message}`)
}

/** Returns the failure of events whose COMMIT was refused after their handlers had run: a deferred constraint. */
export function failureOfCommit(error: unknown): HandlerFailure {
  return { failure: failureOfStatement(error), excusable: sqlErrorKind(error) === 'conflict' }
}

/**
 * Returns the error for events that together take too long for one transaction. A single event may take as long as its
 * call may.
 */
export function transactionTookTooLong(
  seqs: readonly number[],
  { transactionMs }: { transactionMs: number },
): HandlerError {
  const message = `the transaction took longer than ${transactionMs / 1_000} s`
  const failure = { ...failureOf(message, 'handle'), errorClass: TIMEOUT }
  return new HandlerError({ failure, excusable: true }, seqs, true)
}

/** A data error is permanent: Postgres would refuse the same values again. */
function failureOfStatement(error: unknown): Failure {
  const failure = failureOf(error, 'handle')
  if (sqlErrorKind(error) !== 'data') return failure
  return { ...failure, failureType: 'permanent', errorClass: `SQLSTATE ${(error as { code: string }).code}` }
}

/** Errors from the handler keep their message; ours get the name of the handler. */
function named(failure: Failure, name: string): Failure {
  return failure.errorClass === MISSING_AWAIT ? { ...failure, message: `${name}: ${failure.message}` } : failure
}
