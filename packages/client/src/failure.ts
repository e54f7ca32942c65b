/** The errors of sending. */

/** What an EventFlow server says about an error: problem+json (RFC 9457). */
export interface Problem {
  status: number
  /** From the server's table of errors, such as `invalid-event`; stable. */
  code?: string
  title?: string
  detail?: string
  /** Details of the fault; `pointer` is a JSON pointer into the event. */
  errors?: { pointer: string; message: string }[]
}

/**
 * The server will never accept this event as it is: malformed, too large, invalid against its schema, or its id belongs
 * to another event.
 */
export class EventRejected extends Error {
  override name = 'EventRejected'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(describe(problem))
    this.problem = problem
  }
}

/**
 * A request got no usable answer. Either the retries did not succeed in the time that the client may try (`attempts`
 * tries; `cause` is the last error), or the server refused the request itself: wrong key, wrong address (`problem`).
 */
export class RequestFailed extends Error {
  override name = 'RequestFailed'
  readonly attempts: number
  readonly problem: Problem | undefined

  constructor(reason: { problem?: Problem; cause?: unknown }, attempts: number) {
    const why = reason.problem ? describe(reason.problem) : messageOf(reason.cause)
    super(attempts > 1 ? `${why} (tried ${attempts} times)` : why, { cause: reason.cause })
    this.attempts = attempts
    this.problem = reason.problem
  }
}

/** The problem in one line: `400 The event is not valid: /data/amount must be a number`. */
function describe({ status, title, detail, errors = [] }: Problem): string {
  const details = errors.map(({ pointer, message }) => `${pointer} ${message}`.trim())
  return [`${status} ${title ?? ''}`.trim(), details.join(', ') || detail].filter(Boolean).join(': ')
}

/** The message of an error; of an AggregateError (a host with two addresses fails twice) the first one. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}
