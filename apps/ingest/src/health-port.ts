/** Health and metrics on a separate port, which answers even if the main port has no free connections. */
import { createServer, type Server } from 'node:http'
import { listenError } from '@eventflow/runtime'
import type { FastifyInstance } from 'fastify'

const PATHS = new Set(['/livez', '/readyz', '/health', '/metrics'])

/** More than all probes and scrapers need. */
const MAX_CONNECTIONS = 100
const TIMEOUT_MS = 5_000

/**
 * Serves only the health and metrics routes of a ready service. Rejects if the port is taken; the message names its
 * setting.
 */
export async function serveHealth(app: FastifyInstance, host: string, port: number): Promise<Server> {
  const timeouts = { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS, keepAliveTimeout: TIMEOUT_MS }
  const server = createServer({ ...timeouts, connectionsCheckingInterval: 1_000 }, (request, response) => {
    if (PATHS.has(request.url!.split('?', 1)[0]!)) app.routing(request, response)
    else response.writeHead(404).end()
  })
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  }).catch((error) => {
    throw listenError(error, 'EVENTFLOW_HEALTH_PORT', 'choose another one, or 0 for none')
  })
  return server
}
