/** Health and metrics of a process without an HTTP interface. */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import { isLoopback, whyForeign } from './keyless.js'

/** The state `ok` is healthy, every other one is not; `reason` explains it in words. The rest is for programs. */
export interface Health {
  status: string
  reason?: string
  [detail: string]: unknown
}

export interface ServeMetricsOptions {
  host: string
  port: number
  registry: Registry
  /** Updates the metrics that are not kept current. Must not reject. */
  refresh: () => Promise<void>
  health: () => Health
}

/** The answers are data, not to be used by a page or a frame, and not to be cached. */
const HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
}

/**
 * Serves /metrics, /livez, /readyz and /health; on a loopback address only to programs on this machine and to no web
 * page. Rejects when the port is taken, with an error that names the setting.
 */
export async function serveMetrics({ host, port, registry, refresh, health }: ServeMetricsOptions): Promise<Server> {
  const server = createServer(async (request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    const why = isLoopback(host) ? whyForeign(request) : undefined
    if (why !== undefined) {
      response.writeHead(403).end(`only for programs on this machine, and this request ${why}\n`)
      return
    }
    switch (request.url) {
      case '/metrics':
        await refresh()
        response.setHeader('content-type', registry.contentType).end(await registry.metrics())
        break
      case '/livez':
        response.end('ok\n')
        break
      case '/readyz': {
        const { status, reason } = health()
        answer(response, status, status === 'ok' ? 'ready\n' : `not ready: ${reason ?? status}\n`)
        break
      }
      case '/health': {
        const now = health()
        response.setHeader('content-type', 'application/json')
        answer(response, now.status, `${JSON.stringify(now)}\n`)
        break
      }
      default:
        response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  }).catch((error) => {
    throw listenError(
      error,
      'EVENTFLOW_METRICS_PORT',
      'each worker on a machine needs its own port, or 0 for a free one',
    )
  })
  return server
}

function answer(response: ServerResponse, status: string, body: string): void {
  response.writeHead(status === 'ok' ? 200 : 503).end(body)
}

/** An error of `listen`, with the setting that chose the port if the port is taken. */
export function listenError(error: Error & { code?: unknown; port?: unknown }, setting: string, advice: string): Error {
  if (error.code !== 'EADDRINUSE') return error
  return new Error(`${setting}: port ${error.port} is used by another program; ${advice}`, { cause: error })
}
