/** Health and metrics of a process that has no HTTP interface of its own. */
import { createServer, type Server } from 'node:http'
import type { WorkerMetrics } from './metrics.js'

/** Serves /metrics, /livez and /readyz. `isReady` says whether the process does its work. */
export async function serveMetrics(
  metrics: WorkerMetrics,
  { host, port, isReady }: { host: string; port: number; isReady: () => boolean },
): Promise<Server> {
  const server = createServer(async (request, response) => {
    switch (request.url) {
      case '/metrics':
        response.setHeader('content-type', metrics.registry.contentType).end(await metrics.registry.metrics())
        break
      case '/livez':
        response.end('ok\n')
        break
      case '/readyz':
        response.writeHead(isReady() ? 200 : 503).end(isReady() ? 'ready\n' : 'not ready\n')
        break
      default:
        response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return server
}
