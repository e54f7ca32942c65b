/**
 * What a call of a handler came to, and who is at fault: the handler, or perhaps the server. Judged by what its own
 * statements met.
 */
import { type Failure, failureOf, isPromiseLike } from '@eventflow/core'
import { sqlErrorKind, type Use } from '@eventflow/db'
import type { Answer } from '@eventflow/sdk/user-code'

export interface HandlerFailure {
  failure: Failure
  /**
   * The server or another transaction may be at fault. It is not, where the same happens again and again and the server
   * is well.
   */
  excusable: boolean
}

/** A call of a handler failed, for one of these events. */
export class HandlerError extends Error {
  readonly failure: Failure
  readonly excusable: boolean

  constructor(
    { failure, excusable }: HandlerFailure,
    /** Of these events, by their `seq`. */
    readonly seqs: readonly number[],
    /** None of them failed: there were too many of them for one transaction. */
    readonly tookTooLong = false,
  ) {
    super(failure.message)
    this.name = failure.errorClass
    this.failure = failure
    this.excusable = excusable
  }

  /** Whether the same again would take as long as a call may. */
  get isSlow(): boolean {
    return this.excusable || this.failure.errorClass === TIMEOUT
  }
}

const TIMEOUT = 'Timeout'

/** The name of the failure, in place of an error's. */
const MISSING_AWAIT = 'MissingAwait'

/** Thrown for an answer. */
class MissingAwaitError extends Error {
  override name = MISSING_AWAIT
}

/** Handlers answer nothing. Anything is passed over but promises in a list: what they do would be lost. */
export function nothingIn(answer: unknown): void {
  if (!Array.isArray(answer) || !answer.some(isPromiseLike)) return
  void Promise.allSettled(answer)
  throw new MissingAwaitError('it returned a list of promises: await Promise.all(…) of them')
}

interface Call {
  /** As messages say it. */
  name: string
  answer: Answer<void>
  /** What the handler threw, if it did. */
  thrown: { error: unknown } | undefined
  isTimeout: boolean
  use: Use
}

/** What was wrong with a call, if anything was. */
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

/** The failure of an event whose handlers have run, and whose COMMIT was refused: a constraint that was deferred. */
export function failureOfCommit(error: unknown): HandlerFailure {
  return { failure: failureOfStatement(error), excusable: sqlErrorKind(error) === 'conflict' }
}

/** All of these events are too many for one transaction; one alone may take as long as its call. */
export function transactionTookTooLong(
  seqs: readonly number[],
  { transactionMs }: { transactionMs: number },
): HandlerError {
  const message = `the transaction took longer than ${transactionMs / 1_000} s`
  const failure = { ...failureOf(message, 'handle'), errorClass: TIMEOUT }
  return new HandlerError({ failure, excusable: true }, seqs, true)
}

/** What Postgres says of the values, it says the next time too. */
function failureOfStatement(error: unknown): Failure {
  const failure = failureOf(error, 'handle')
  if (sqlErrorKind(error) !== 'data') return failure
  return { ...failure, failureType: 'permanent', errorClass: `SQLSTATE ${(error as { code: string }).code}` }
}

/** What was thrown speaks for itself, but for our own errors. */
function named(failure: Failure, name: string): Failure {
  return failure.errorClass === MISSING_AWAIT ? { ...failure, message: `${name}: ${failure.message}` } : failure
}
