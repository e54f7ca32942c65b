/** Which pages of other origins may read our answers (CORS, of the Fetch standard): by default none. */
import type { FastifyInstance } from 'fastify'
import { methodsOf, pathOf } from './methods.js'

/** The headers that pages may read in addition to those that are always allowed. */
const EXPOSED = 'Allow, Location, RateLimit, RateLimit-Policy, Retry-After, X-Correlation-ID'

/** How long a browser may cache the permission, in seconds. */
const MAX_AGE_S = 600

/**
 * The form of a list of header names, which is echoed: all headers that we read may be sent, and others have no effect.
 */
const NAMES = /^[\w, -]+$/

/**
 * Lets the pages of `origins` read answers: a comma-separated list, or `*` for all; none if empty. They need an API key
 * like any other client; credentials that a browser adds, such as cookies, are not used.
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
