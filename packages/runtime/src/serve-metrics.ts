/** Health and metrics of a process that has no HTTP interface of its own. */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import { isLoopback, whyForeign } from './keyless.js'

/** `ok` is healthy, all else is not; `reason` says why, in words. The rest is for programs. */
export interface Health {
  status: string
  reason?: string
  [detail: string]: unknown
}

export interface ServeMetricsOptions {
  host: string
  port: number
  registry: Registry
  /** Brings metrics up to date that are not kept so. Must not reject. */
  refresh: () => Promise<void>
  health: () => Health
}

/** What is told here is data, for no page and no frame, and not to be kept. */
const HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
}

/**
 * Serves /metrics, /livez, /readyz and /health; on a loopback address to programs on this machine and to no web page.
 * Rejects when the port is taken, with an error that names the setting.
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

/** An error of `listen` that names the setting behind it where the port is taken. */
export function listenError(error: Error & { code?: unknown; port?: unknown }, setting: string, advice: string): Error {
  if (error.code !== 'EADDRINUSE') return error
  return new Error(`${setting}: port ${error.port} is used by another program; ${advice}`, { cause: error })
}
