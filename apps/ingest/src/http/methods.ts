/** The methods of a path: other methods are answered with 405, and OPTIONS lists the allowed ones. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { RequestError } from './problem.js'

/** Returns the methods of a path for `Allow`; empty if there is no such path. */
export function methodsOf(app: FastifyInstance, path: string): string[] {
  const methods = app.supportedMethods.filter((method) => app.findRoute({ method, url: path }))
  return methods.length > 0 ? [...methods, 'OPTIONS'] : []
}

/** Answers requests that match no route. */
export function answerOtherMethods(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) => {
    const { method } = request
    const path = pathOf(request)
    const methods = methodsOf(app, path)
    // "*" means the whole server (RFC 9110 §9.3.7).
    if (methods.length === 0 && !(method === 'OPTIONS' && path === '*')) {
      throw new RequestError('route-not-found', `${method} ${path} is not a route; see /docs`)
    }
    const allow = methods.join(', ')
    if (allow) reply.header('allow', allow)
    if (method !== 'OPTIONS') {
      throw new RequestError('method-not-allowed', `${path} does not support ${method}, only ${allow}`)
    }
    if (TAKES_EVENTS.has(path)) agreeToDeliveries(request, reply)
    return reply.code(204).send()
  })
}

/** The path of a request, not decoded. */
export const pathOf = ({ url }: FastifyRequest) => url.split('?', 1)[0]!

const TAKES_EVENTS = new Set(['/v1/events', '/v1/events/batch'])

/**
 * The validation handshake of HTTP 1.1 Web Hooks for Event Delivery 1.0, §4: a sender asks whether its deliveries are
 * expected. They are, from any sender; whether one is accepted depends on its key. It answers at once, so a callback is
 * never called.
 */
function agreeToDeliveries({ headers }: FastifyRequest, reply: FastifyReply): void {
  if (headers['webhook-request-origin'] === undefined) return
  reply.headers({ 'webhook-allowed-origin': '*', 'webhook-allowed-rate': '*' })
}
