/** Headers of every answer: browsers guess no types and show it in no frame, other pages cannot use it, caches do not keep it. */
import type { FastifyInstance } from 'fastify'

/** Of a page that brings no stricter policy of its own: it loads nothing from elsewhere. */
const PAGE_POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "style-src 'self' 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** Of every answer, also of those that no route gives. */
const ALWAYS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

/** Data loads nothing. */
const DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"

/** All headers of an answer that is no page and no file. */
export const DATA_HEADERS = { ...ALWAYS, 'content-security-policy': DATA_POLICY, 'cache-control': 'no-store' }

/** Sets them on every answer of a route; what a route says itself, stays. */
export function describeAnswers(app: FastifyInstance): void {
  app.addHook('onSend', (_, reply, payload, done) => {
    reply.headers(ALWAYS)
    // Files are described on the raw answer.
    const isSaid = (name: string) => reply.hasHeader(name) || reply.raw.hasHeader(name)
    if (!isSaid('content-security-policy')) {
      const isPage = `${reply.getHeader('content-type')}`.startsWith('text/html')
      reply.header('content-security-policy', isPage ? PAGE_POLICY : DATA_POLICY)
    }
    if (!isSaid('cache-control')) reply.header('cache-control', 'no-store')
    done(null, payload)
  })
}
