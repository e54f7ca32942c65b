/** Which pages from elsewhere may read our answers (CORS, of the Fetch standard): none, unless they are named. */
import type { FastifyInstance } from 'fastify'
import { methodsOf, pathOf } from './methods.js'

/** What pages may read besides the body and the headers that they always may. */
const EXPOSED = 'Allow, Location, RateLimit, RateLimit-Policy, Retry-After, X-Correlation-ID'

/** How long a browser may remember what it was allowed, in seconds. */
const MAX_AGE_S = 600

/** Names of headers, which are sent back; all that we read may be sent, and others do nothing. */
const NAMES = /^[\w, -]+$/

/**
 * Lets the pages of `origins` read answers: a list with commas, or `*` for all; none where it is empty. They need an
 * API key like any other client: credentials that a browser adds by itself, such as cookies, are not used.
 */
export function shareWithOrigins(app: FastifyInstance, origins: string): void {
  if (origins === '') return
  const all = origins === '*'
  const named = new Set(origins.split(','))
  app.addHook('onRequest', (request, reply, done) => {
    const { origin, 'access-control-request-headers': names = '' } = request.headers
    if (!all) reply.header('vary', 'Origin')
    if (origin === undefined || !(all || named.has(origin))) return done()
    reply.header('access-control-allow-origin', all ? '*' : origin)
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) {
      reply.header('access-control-expose-headers', EXPOSED)
      return done()
    }
    reply.headers({
      'access-control-allow-methods': methodsOf(app, pathOf(request)).join(', '),
      'access-control-max-age': MAX_AGE_S,
    })
    if (NAMES.test(names)) reply.header('access-control-allow-headers', names)
    done()
  })
}
