/** Whether the service works, for load balancers, people and Prometheus. */
import { countEvents, type Db, readOwnership } from '@eventflow/db'
import type { Metrics } from '@eventflow/runtime'
import { type Redis, readDepths } from '@eventflow/stream'
import type { FastifyInstance } from 'fastify'

export interface HealthRoutesDeps {
  db: Db
  redis: Redis
  prefix: string
  partitions: number
  metrics: Metrics
  /** False while the process drains. */
  isOpen: () => boolean
}

type Check = { status: 'ok' | 'down'; latency_ms: number; detail?: string }

export function healthRoutes(
  app: FastifyInstance,
  { db, redis, prefix, partitions, metrics, isOpen }: HealthRoutesDeps,
): void {
  const quiet = { logLevel: 'silent', schema: { tags: ['operation'] } } as const

  app.get('/livez', { ...quiet }, async () => ({ status: 'ok' }))

  app.get('/readyz', { ...quiet }, async (_, reply) => {
    const postgres = isOpen() ? await check(() => db.query('SELECT 1')) : undefined
    if (postgres?.status === 'ok') return { status: 'ready' }
    return reply.code(503).send({ status: 'not ready', reason: postgres ? `Postgres: ${postgres.detail}` : 'stopping' })
  })

  app.get('/health', { ...quiet }, async (_, reply) => {
    let live: string[] = []
    const [postgres, redisCheck, workers] = await Promise.all([
      check(() => db.query('SELECT 1')),
      check(() => redis.ping()),
      check(async () => {
        live = (await readOwnership(db)).workers
        if (live.length === 0) throw new Error('no worker is alive')
      }),
    ])
    const checks = { postgres, redis: redisCheck, workers: { ...workers, live } }
    const degraded = redisCheck.status === 'down' || workers.status === 'down'
    const status = postgres.status === 'down' ? 'down' : degraded ? 'degraded' : 'ok'
    return reply.code(status === 'down' ? 503 : 200).send({ status, checks })
  })

  app.get('/metrics', { ...quiet }, async (_, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )

  app.get('/metrics/summary', { ...quiet }, async () => {
    const [events, ownership, streams] = await Promise.all([
      countEvents(db),
      readOwnership(db),
      readDepths(redis, prefix, partitions).catch(() => undefined),
    ])
    return {
      at: new Date().toISOString(),
      events,
      streams: streams && {
        length: streams.reduce((sum, { length }) => sum + length, 0),
        pending: streams.reduce((sum, { pending }) => sum + pending, 0),
      },
      workers: ownership.workers.map((worker) => ({
        worker,
        partitions: ownership.partitions.filter(({ owner, free }) => owner === worker && !free).map(({ id }) => id),
      })),
    }
  })
}

async function check(probe: () => Promise<unknown>): Promise<Check> {
  const start = performance.now()
  const result = await probe().then(
    () => ({ status: 'ok' as const }),
    (error: Error) => ({ status: 'down' as const, detail: error.message }),
  )
  return { ...result, latency_ms: Math.round((performance.now() - start) * 10) / 10 }
}
