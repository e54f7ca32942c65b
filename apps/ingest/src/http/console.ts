/** Serves the operator's console: the files built from apps/console. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Logger } from '@eventflow/runtime'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'

/** The page loads nothing from other origins, runs only its own files, and may not be framed. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Serves the console at `/`. If it was not built, the service logs that and runs without it. */
export async function serveConsole(app: FastifyInstance, log: Logger): Promise<void> {
  const page = fileURLToPath(import.meta.resolve('@eventflow/console/site'))
  if (!existsSync(page)) {
    log.warn({ page }, 'the console is missing: build it with npm run build')
    return
  }
  await app.register(fastifyStatic, {
    root: dirname(page),
    wildcard: false,
    cacheControl: false,
    setHeaders(response, path) {
      response.setHeader('content-security-policy', POLICY)
      // The names of all files except the page change with their content.
      response.setHeader('cache-control', path === page ? 'no-cache' : 'public, max-age=31536000, immutable')
    },
  })
}
