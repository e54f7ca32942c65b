/**
 * Headers of every answer: browsers guess no types and show it in no frame, other pages cannot use it, caches do not
 * store it.
 */
import type { FastifyInstance } from 'fastify'

/** For pages without a stricter policy: they load nothing from other origins. */
const PAGE_POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "style-src 'self' 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** On every answer, even without a route. */
const ALWAYS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

/** Data loads nothing. */
const DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"

/** All headers of an answer that is neither a page nor a file. */
export const DATA_HEADERS = { ...ALWAYS, 'content-security-policy': DATA_POLICY, 'cache-control': 'no-store' }

/** Sets these headers on every answer of a route; a route's own headers are kept. */
export function describeAnswers(app: FastifyInstance): void {
  app.addHook('onSend', (_, reply, payload, done) => {
    reply.headers(ALWAYS)
    // Headers of files are set on the raw response.
    const isSaid = (name: string) => reply.hasHeader(name) || reply.raw.hasHeader(name)
    if (!isSaid('content-security-policy')) {
      const isPage = `${reply.getHeader('content-type')}`.startsWith('text/html')
      reply.header('content-security-policy', isPage ? PAGE_POLICY : DATA_POLICY)
    }
    if (!isSaid('cache-control')) reply.header('cache-control', 'no-store')
    done(null, payload)
  })
}
