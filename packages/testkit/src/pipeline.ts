/** A whole pipeline inside the test's process: the real service and real workers, on a database and a prefix of their own. */
import { randomBytes } from 'node:crypto'
import { connect, countEvents, countPartitions, type Db } from '@eventflow/db'
import { buildApp } from '@eventflow/ingest'
import type { EventDefinition } from '@eventflow/pipeline'
import { createLog, createMetrics, IngestConfig, type Metrics, readConfig, WorkerConfig } from '@eventflow/runtime'
import { connectRedis, type Redis, untilReady } from '@eventflow/stream'
import { startWorker, type Worker } from '@eventflow/worker'
import { createDatabase, redisUrl } from './services.js'
import { until } from './until.js'

export interface TestPipeline {
  app: Awaited<ReturnType<typeof buildApp>>
  /** Where the service listens: `http://127.0.0.1:…`. */
  url: string
  db: Db
  redis: Redis
  prefix: string
  databaseUrl: string
  ingestMetrics: Metrics
  /** What a definition's file would have prepared. */
  prepare(...statements: string[]): Promise<void>
  /** Starts one more worker. */
  startWorker(id?: string): Promise<Worker & { metrics: Metrics }>
  /** Sends events as one batch request and gives the answer; throws when it is not 200. */
  send(events: readonly object[]): Promise<BatchAnswer>
  /** Waits until every accepted event has reached an end. */
  drained(timeoutMs?: number): Promise<void>
  stop(): Promise<void>
}

export interface BatchAnswer {
  accepted: number
  duplicate: number
  rejected: number
  items: {
    index: number
    id: string | null
    status: string
    error?: { code: string; errors?: { pointer: string }[] }
  }[]
}

/** Settings may be given by their names; those that are left out have their defaults. */
export async function startPipeline(
  definitions: readonly EventDefinition[],
  settings: Record<string, string> = {},
): Promise<TestPipeline> {
  const databaseUrl = await createDatabase()
  const prefix = `t${randomBytes(4).toString('hex')}`
  const env = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl(),
    EVENTFLOW_EVENTS: 'given directly',
    EVENTFLOW_STREAM_PREFIX: prefix,
    EVENTFLOW_LOG_LEVEL: 'silent',
    ...settings,
  }
  const byType = new Map(definitions.map((definition) => [definition.type, definition]))
  const log = createLog('test', env.EVENTFLOW_LOG_LEVEL)
  const db = connect({ url: databaseUrl, applicationName: 'test', max: 20, onIdleError: () => {} })
  const redis = connectRedis({ url: env.REDIS_URL, onError: () => {} })
  await untilReady(redis, 5_000)
  const ingestMetrics = createMetrics('ingest')
  const app = await buildApp({
    config: readConfig(IngestConfig, env),
    db,
    redis,
    log,
    metrics: ingestMetrics,
    definitions: byType,
    partitions: await countPartitions(db),
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const workers: Worker[] = []

  return {
    app,
    url,
    db,
    redis,
    prefix,
    databaseUrl,
    ingestMetrics,
    async prepare(...statements) {
      for (const statement of statements) await db.query(statement)
    },
    async startWorker(id = `worker-${workers.length + 1}`) {
      const metrics = createMetrics('worker')
      const config = readConfig(WorkerConfig, env)
      const worker = await startWorker({ id, config, db, redis, log, metrics, definitions: byType })
      workers.push(worker)
      return { ...worker, metrics }
    },
    async send(events) {
      const response = await post(`${url}/v1/events/batch`, events)
      if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`)
      return (await response.json()) as BatchAnswer
    },
    async drained(timeoutMs) {
      await until('everything is settled', async () => (await countEvents(db)).unsettled === 0, timeoutMs)
    },
    async stop() {
      await Promise.all(workers.map((worker) => worker.stop()))
      await app.close()
      const keys = await redis.keys(`${prefix}:*`)
      if (keys.length > 0) await redis.del(keys)
      redis.disconnect()
      await db.end()
    },
  }
}

/** POSTs a value as JSON, or a text as it is. */
export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}
