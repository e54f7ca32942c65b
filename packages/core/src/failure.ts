/** How an event can fail, and the errors that an enricher or a handler throws to say so. */

/** One fault of an event. `pointer` is a JSON pointer (RFC 6901) into its data, `""` for the whole. */
export interface Problem {
  pointer: string
  message: string
}

/** The event itself is at fault and no later attempt can succeed: it is dead-lettered at once. */
export class PermanentError extends Error {
  override name = 'PermanentError'
  readonly problems: Problem[]

  constructor(message: string, options: { problems?: Problem[]; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.problems = options.problems ?? []
  }
}

/** The event is not at fault and a later attempt may succeed. Any error of another class counts as this one. */
export class TransientError extends Error {
  override name = 'TransientError'
}

/** A dependency is known to be down (its circuit is open): nothing was tried, so no attempt is charged. */
export class UnavailableError extends Error {
  override name = 'UnavailableError'
  readonly dependency: string

  constructor(dependency: string, options: { cause?: unknown } = {}) {
    super(`${dependency} is unavailable`, options)
    this.dependency = dependency
  }
}
