/** The errors of the HTTP interface: stable codes, their status and whether a retry can help. */

interface ProblemKind {
  status: number
  title: string
  retryable: boolean
}

export const PROBLEMS = {
  'malformed-body': { status: 400, title: 'The body cannot be read', retryable: false },
  'invalid-event': { status: 400, title: 'The event is not valid', retryable: false },
  'invalid-query': { status: 400, title: 'The request is not valid', retryable: false },
  unauthorized: { status: 401, title: 'A valid API key is required', retryable: false },
  forbidden: { status: 403, title: 'The API key does not allow that', retryable: false },
  'event-not-found': { status: 404, title: 'There is no such event', retryable: false },
  'dead-letter-not-found': { status: 404, title: 'There is no such dead letter', retryable: false },
  'operation-not-found': { status: 404, title: 'There is no such operation', retryable: false },
  'key-not-found': { status: 404, title: 'There is no such API key', retryable: false },
  'schema-not-found': { status: 404, title: 'There is no such schema', retryable: false },
  'group-not-found': { status: 404, title: 'There is no such consumer group', retryable: false },
  'route-not-found': { status: 404, title: 'There is no such route', retryable: false },
  'method-not-allowed': { status: 405, title: 'The route does not support this method', retryable: false },
  'request-timeout': { status: 408, title: 'The request took too long to arrive', retryable: true },
  'event-conflict': { status: 409, title: 'Another event has this id', retryable: false },
  'operation-conflict': { status: 409, title: 'The operation is in the wrong state', retryable: false },
  'group-conflict': { status: 409, title: 'The consumer group is in the wrong state', retryable: false },
  'limit-reached': { status: 409, title: 'The tenant has reached its limit', retryable: false },
  'schema-incompatible': { status: 409, title: 'The schema is not compatible with earlier versions', retryable: false },
  'log-removed': { status: 410, title: 'The log no longer has these events', retryable: false },
  'body-too-large': { status: 413, title: 'The body is too large', retryable: false },
  'unsupported-media-type': { status: 415, title: 'The content type is not supported', retryable: false },
  'expectation-failed': { status: 417, title: 'The expectation cannot be met', retryable: false },
  'schema-refused': { status: 422, title: 'The schema cannot be used', retryable: false },
  'data-invalid': { status: 422, title: 'The data does not fit the schema of its type', retryable: false },
  'idempotency-key-reused': { status: 422, title: 'The Idempotency-Key was used for another event', retryable: false },
  'quota-exceeded': { status: 429, title: 'The tenant has exceeded its quota', retryable: true },
  'too-many-requests': { status: 429, title: 'The tenant has too many requests at once', retryable: true },
  'headers-too-large': { status: 431, title: 'The headers are too large', retryable: false },
  'internal-error': { status: 500, title: 'Internal error', retryable: true },
  overloaded: { status: 503, title: 'Too many events are in flight', retryable: true },
  unavailable: { status: 503, title: 'Temporarily unavailable; try again soon', retryable: true },
} as const satisfies Record<string, ProblemKind>

export type ProblemCode = keyof typeof PROBLEMS
