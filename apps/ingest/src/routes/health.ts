/** Routes of health and metrics, for load balancers, people and Prometheus. */
import { countEvents, type Db, type DbOf, OPERATOR_TENANT, readOwnership } from '@eventflow/db'
import { type PipelineLag, shared } from '@eventflow/monitor'
import type { Redis } from '@eventflow/redis'
import type { IngestMetrics } from '@eventflow/runtime'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { describeLag } from '../answers/describe-lag.js'
import { asItIs, Moment } from '../http/reply.js'
import { strictly } from '../http/request.js'

export interface HealthRoutesDeps {
  /** The connections that accept events. */
  accepting: Db
  /** The connections for all other reads. */
  asking: Db
  dbOf: DbOf
  redis: Redis
  metrics: IngestMetrics
  lag: () => Promise<PipelineLag>
  /** Updates the gauges of the whole pipeline. */
  refreshGauges: () => Promise<void>
  /** False while the process drains. */
  isOpen: () => boolean
}

type Check = { status: 'ok' | 'down'; latency_ms: number; detail?: string }

export function healthRoutes(
  app: FastifyInstance,
  { accepting, asking, dbOf, redis, metrics, lag, refreshGauges, isOpen }: HealthRoutesDeps,
): void {
  const quiet = { logLevel: 'silent', serializerCompiler: asItIs } as const

  // Needs no key, so all callers together cost one query at a time.
  const checkPostgres = shared(() => check(() => accepting.query('SELECT 1')))
  const checkRedis = shared(() => check(() => redis.ping()))
  const checkWorkers = shared(async () => {
    let live: string[] = []
    const workers = await check(async () => {
      live = (await readOwnership(asking)).workers
      if (live.length === 0) throw new Error('no worker is running')
    })
    return { ...workers, live }
  })

  app.get('/livez', { ...quiet, schema: livezSchema }, async () => ({ status: 'ok' }))

  app.get('/readyz', { ...quiet, schema: readyzSchema }, async (_, reply) => {
    const postgres = isOpen() ? await checkPostgres() : undefined
    if (postgres?.status === 'ok') return { status: 'ready' }
    return reply.code(503).send({ status: 'not ready', reason: postgres ? `Postgres: ${postgres.detail}` : 'stopping' })
  })

  app.get('/health', { ...quiet, schema: healthSchema }, async (_, reply) => {
    const [postgres, redisNow, workers] = await Promise.all([checkPostgres(), checkRedis(), checkWorkers()])
    const checks = { postgres, redis: redisNow, workers }
    const degraded = redisNow.status === 'down' || workers.status === 'down'
    const status = postgres.status === 'down' ? 'down' : degraded ? 'degraded' : 'ok'
    return reply.code(status === 'down' ? 503 : 200).send({ status, checks })
  })

  app.get('/metrics', { ...quiet, schema: metricsSchema }, async (_, reply) => {
    await refreshGauges()
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })

  app.get<{ Querystring: { counts?: 'true' } }>(
    '/metrics/summary',
    { ...quiet, schema: summarySchema, validatorCompiler: strictly },
    async ({ query }) => {
      const [now, events] = await Promise.all([lag(), query.counts ? countEvents(dbOf(OPERATOR_TENANT)) : undefined])
      return { ...describeLag(now), ...(events && { events }) }
    },
  )
}

const tags = ['operation']
const Status = Type.Object({ status: Type.String(), reason: Type.Optional(Type.String()) })
const Checked = Type.Object(
  { status: Type.String({ enum: ['ok', 'down'] }), latency_ms: Type.Number(), detail: Type.Optional(Type.String()) },
  { additionalProperties: true },
)
const Health = Type.Object({
  status: Type.String({ enum: ['ok', 'degraded', 'down'] }),
  checks: Type.Object({ postgres: Checked, redis: Checked, workers: Checked }),
})

const livezSchema = { summary: 'Liveness: whether the process answers', tags, response: { 200: Status } }
const readyzSchema = {
  summary: 'Readiness: whether it can accept events',
  tags,
  response: { 200: Status, 503: Status },
}
const healthSchema = { summary: 'Health of the dependencies', tags, response: { 200: Health, 503: Health } }
const metricsSchema = {
  summary: 'Metrics for Prometheus',
  tags,
  response: { 200: { content: { 'text/plain': { schema: Type.String() } } } },
}

const MaybeNumber = Type.Union([Type.Number(), Type.Null()])
const behind = {
  unsettled: Type.Integer({ description: 'Accepted and not settled' }),
  retrying: Type.Integer(),
  lag: Type.Integer({ description: 'Events not yet delivered to a worker' }),
  lag_seconds: Type.Number(),
  oldest_unsettled_age_seconds: Type.Number(),
}

const Summary = Type.Object({
  at: Moment,
  ...behind,
  streams: Type.Optional(Type.Object({ length: Type.Integer(), pending: Type.Integer() })),
  workers: Type.Array(Type.Object({ worker: Type.String(), partitions: Type.Array(Type.Integer()) })),
  partitions: Type.Array(
    Type.Object({
      partition: Type.Integer(),
      owner: Type.Union([Type.String(), Type.Null()]),
      epoch: Type.Integer(),
      source: Type.String({ enum: ['stream', 'postgres'] }),
      depth: MaybeNumber,
      pending: MaybeNumber,
      ...behind,
    }),
  ),
  events: Type.Optional(Type.Object({}, { additionalProperties: true, description: 'Exact counts of all events' })),
})

const summarySchema = {
  summary: 'The backlog of the pipeline',
  tags,
  response: { 200: Summary },
  querystring: Type.Object(
    {
      counts: Type.Optional(
        Type.Literal('true', { description: 'Include exact counts of all events; slower the more there are' }),
      ),
    },
    { additionalProperties: false },
  ),
}

async function check(probe: () => Promise<unknown>): Promise<Check> {
  const start = performance.now()
  const result = await probe().then(
    () => ({ status: 'ok' as const }),
    (error: Error) => ({ status: 'down' as const, detail: error.message }),
  )
  return { ...result, latency_ms: Math.round((performance.now() - start) * 10) / 10 }
}
