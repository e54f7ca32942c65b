/** What browsers are told of our pages: load nothing from elsewhere, be in nobody's frame, tell nobody where you came from. */
import type { FastifyInstance } from 'fastify'

const POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "style-src 'self' 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** Sets them on every page of the app that has no stricter policy of its own; and on every answer that it is what its type says. */
export function protectPages(app: FastifyInstance): void {
  app.addHook('onSend', (_, reply, payload, done) => {
    reply.header('x-content-type-options', 'nosniff')
    const isPage = `${reply.getHeader('content-type')}`.startsWith('text/html')
    if (isPage && !reply.raw.hasHeader('content-security-policy')) {
      reply.headers({
        // A page that can do with less has said so.
        'content-security-policy': reply.getHeader('content-security-policy') ?? POLICY,
        'referrer-policy': 'no-referrer',
        'x-frame-options': 'DENY',
        'cross-origin-opener-policy': 'same-origin',
      })
    }
    done(null, payload)
  })
}
