/** Documents the problems of each route: those of all routes, those of bodies, and those that the route lists. */
import { PROBLEMS, type ProblemCode } from '@eventflow/core'
import type { FastifyInstance } from 'fastify'
import { ProblemSchema } from './problem.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The problems of this route that are not general. */
    problems?: readonly ProblemCode[]
  }
}

const OF_ALL: readonly ProblemCode[] = [
  'invalid-query',
  'unauthorized',
  'forbidden',
  'request-timeout',
  'expectation-failed',
  'headers-too-large',
  'internal-error',
  'unavailable',
]
const OF_BODIES: readonly ProblemCode[] = ['malformed-body', 'body-too-large', 'unsupported-media-type', 'overloaded']
/** For all routes that take turns: all except sending events. */
const OF_TURNS: readonly ProblemCode[] = ['too-many-requests']
const OF_PARAMS: readonly ProblemCode[] = ['route-not-found']

const RETRY_AFTER = { required: true, description: 'Seconds', schema: { type: 'integer', minimum: 1 } }
const ALWAYS = { required: true, schema: { type: 'string' } }

const OF_QUOTAS = { RateLimit: ALWAYS, 'RateLimit-Policy': ALWAYS }

/** The headers of problems by status, independent of the route. */
const HEADERS: Record<number, object> = {
  401: { 'WWW-Authenticate': ALWAYS },
  429: { 'Retry-After': RETRY_AFTER },
  503: { 'Retry-After': RETRY_AFTER },
}

// biome-ignore lint/suspicious/noExplicitAny: the types of OpenAPI documents are those of 3.0, where a schema is something else.
type OpenApi = any

/**
 * Records the problems of the routes declared from here on. Returns a function that adds them to the finished document,
 * in which all headers that a route lists for success are always present.
 */
export function documentProblems(app: FastifyInstance): (document: OpenApi) => OpenApi {
  const noted: { path: string; method: string; codes: ProblemCode[] }[] = []
  app.addHook('onRoute', ({ url, method, config }) => {
    if (config?.scope === undefined) return
    const codes = [
      ...OF_ALL,
      ...(config.scope === 'ingest' ? [] : OF_TURNS),
      ...(method === 'GET' ? [] : OF_BODIES),
      ...(url.includes('/:') ? OF_PARAMS : []),
      ...(config.problems ?? []),
    ]
    noted.push({ path: url.replaceAll(/:(\w+)/g, '{$1}'), method: `${method}`.toLowerCase(), codes })
  })
  return (document) => {
    document.components.schemas.Problem = ProblemSchema
    for (const { path, method, codes } of noted) {
      const operation = document.paths[path]?.[method]
      if (!operation) continue
      for (const { headers = {} } of Object.values<OpenApi>(operation.responses)) {
        for (const header of Object.values<OpenApi>(headers)) header.required = true
      }
      Object.assign(operation.responses, responsesOf(codes))
    }
    return document
  }
}

function responsesOf(codes: readonly ProblemCode[]): Record<number, object> {
  const statuses = new Set(codes.map((code) => PROBLEMS[code].status))
  const ofStatus = (status: number) => codes.filter((code) => PROBLEMS[code].status === status).sort()
  return Object.fromEntries([...statuses].map((status) => [status, responseOf(status, ofStatus(status))]))
}

function responseOf(status: number, codes: readonly ProblemCode[]): object {
  const schema = { $ref: '#/components/schemas/Problem', properties: { code: { enum: codes } } }
  return {
    description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('; '),
    ...(HEADERS[status] && { headers: { ...HEADERS[status], ...(codes.includes('quota-exceeded') && OF_QUOTAS) } }),
    content: { 'application/problem+json': { schema } },
  }
}
