/** Errors in the form application/problem+json (RFC 9457) with a stable code. */
import { PROBLEMS, type Problem, type ProblemCode, TooManyWaitingError } from '@eventflow/core'
import { GroupStateError, isAway, isCancelled, sqlErrorKind, TenantLimitError } from '@eventflow/db'
import { NotAcceptedError } from '@eventflow/intake'
import { NotExaminedError } from '@eventflow/schemas'
import { Type } from '@sinclair/typebox'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DATA_HEADERS } from './answer-headers.js'
import { cut, inBrief } from './brief.js'

/** Seconds after which a client should try again after 429 or 503, if nothing better is known. */
const RETRY_AFTER_S = 1

/** The body of an error. `errors` has the places as JSON pointers. */
export interface ProblemBody {
  type: string
  title: string
  status: number
  code: ProblemCode
  detail: string
  errors?: readonly Problem[]
}

/** The body of an error, for the documentation. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ enum: Object.keys(PROBLEMS) }),
    detail: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
  },
  { description: 'application/problem+json' },
)

/** An error that a route answers with, and its headers. */
export class RequestError extends Error {
  readonly code: ProblemCode
  readonly problems: readonly Problem[] | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ProblemCode,
    detail: string,
    problems?: readonly Problem[],
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail)
    this.code = code
    this.problems = problems
    this.headers = headers
  }
}

/** The most bytes of a problem's detail, as written in JSON. */
const MAX_DETAIL_BYTES = 500

/** Creates a problem of limited size. */
export function problemBody(code: ProblemCode, detail: string, errors?: readonly Problem[]): ProblemBody {
  const { status, title } = PROBLEMS[code]
  return {
    ...{ type: `urn:eventflow:problem:${code}`, title, status, code, detail: cut(detail, MAX_DETAIL_BYTES) },
    ...(errors && { errors: inBrief(errors) }),
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The content types of bodies that a route accepts. */
    takes?: readonly string[]
  }
}

/** The headers for an unsupported content type: the supported ones (RFC 9110 §15.5.16, Linked Data Platform §7.1). */
export function takenBy({ method, routeOptions }: FastifyRequest): Record<string, string> {
  const types = routeOptions.config.takes?.join(', ')
  if (!types) return {}
  return method === 'POST' ? { accept: types, 'accept-post': types } : { accept: types }
}

/** Called with the code of every problem that is answered. */
export type OnProblem = (code: ProblemCode) => void

function send(reply: FastifyReply, body: ProblemBody, onProblem: OnProblem): FastifyReply {
  onProblem(body.code)
  if ([429, 503].includes(body.status) && !reply.hasHeader('retry-after')) reply.header('retry-after', RETRY_AFTER_S)
  // Serialized here, because a route's response schema describes its success.
  return reply
    .code(body.status)
    .type('application/problem+json')
    .serializer((value: unknown) => JSON.stringify(value))
    .send(body)
}

/**
 * Expected refusals, which are not logged here: polling for something that is not there yet, and events that the route
 * has logged.
 */
const QUIET = new Set<ProblemCode>([
  'event-not-found',
  'invalid-event',
  'data-invalid',
  'event-conflict',
  'idempotency-key-reused',
])

/** Answers Fastify's errors before there is a route: a path that cannot be decoded, or with a part that is too long. */
export function answerFrameworkErrors(onProblem: OnProblem) {
  return (error: FastifyError, _: FastifyRequest, reply: FastifyReply): void => {
    const unreadable = error.code === 'FST_ERR_BAD_URL'
    const body = unreadable
      ? problemBody('invalid-query', 'The path cannot be decoded')
      : problemBody('route-not-found', 'A part of the path is too long for any route')
    // No hooks run for these.
    void send(reply.headers(DATA_HEADERS), body, onProblem)
  }
}

/**
 * Converts every error of the app to a problem: a fault of the client never becomes a 5xx, and a fault of the service
 * never shows details.
 */
export function answerProblems(app: FastifyInstance, onProblem: OnProblem): void {
  /** Answers a request that is at fault. The log gets its route and the code, not what was sent. */
  function refuse(request: FastifyRequest, reply: FastifyReply, body: ProblemBody): FastifyReply {
    const about = {
      method: request.method,
      route: request.routeOptions.url,
      correlation_id: reply.getHeader('x-correlation-id'),
    }
    const level = QUIET.has(body.code) ? 'debug' : 'info'
    request.log[level]({ ...about, status: body.status, error_class: body.code }, 'request refused')
    return send(reply, body, onProblem)
  }

  app.setErrorHandler((error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    if (error instanceof RequestError) {
      reply.headers(error.headers)
      return refuse(request, reply, problemBody(error.code, error.message, error.problems))
    }
    if (error instanceof NotAcceptedError) {
      const events = Array.isArray(request.body) ? request.body.length : 1
      const correlation_id = reply.getHeader('x-correlation-id')
      const about = { err: error.cause ?? error, error_class: error.code, events, correlation_id }
      request.log.warn(about, 'events not accepted')
      return send(
        reply,
        problemBody(error.code, 'It is unknown whether the events were stored. Send them again with the same ids.'),
        onProblem,
      )
    }
    if (error instanceof TooManyWaitingError) {
      return refuse(request, reply, problemBody('too-many-requests', `For this tenant ${error.message}`))
    }
    if (error instanceof NotExaminedError) return refuse(request, reply, problemBody('unavailable', error.message))
    if (error instanceof TenantLimitError) return refuse(request, reply, problemBody('limit-reached', error.message))
    if (error instanceof GroupStateError) {
      return refuse(request, reply, problemBody('group-conflict', error.message))
    }
    if (isCancelled(error)) {
      const detail = 'The query took too long. Narrow it down to one type, one key or a shorter time'
      return refuse(request, reply, problemBody('unavailable', detail))
    }
    if (sqlErrorKind(error) === 'conflict') {
      return refuse(request, reply, problemBody('unavailable', 'A concurrent change of the same data is running'))
    }
    if (isAway(error)) {
      request.log.warn({ err: error }, 'Postgres cannot be reached')
      return send(reply, problemBody('unavailable', 'Postgres cannot be reached'), onProblem)
    }
    if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
      reply.headers(takenBy(request))
      return refuse(request, reply, problemBody('unsupported-media-type', 'The Content-Type is not a media type'))
    }
    if (error.validation) return refuse(request, reply, problemBody('invalid-query', error.message))
    if (error.statusCode !== undefined && error.statusCode < 500) {
      return refuse(request, reply, problemBody('malformed-body', error.message))
    }
    request.log.error({ err: error }, 'request failed')
    return send(reply, problemBody('internal-error', 'The log has the details.'), onProblem)
  })
}
