/** Health and metrics on a port of their own, which answers while the main port has all the connections it may have. */
import { createServer, type Server } from 'node:http'
import { listenError } from '@eventflow/runtime'
import type { FastifyInstance } from 'fastify'

const PATHS = new Set(['/livez', '/readyz', '/health', '/metrics'])

/** More than all that ask for health; it is no port for others. */
const MAX_CONNECTIONS = 100
const TIMEOUT_MS = 5_000

/**
 * Serves a ready service's routes of health and metrics, and no other ones. Rejects when the port is taken, naming its
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
