/** A whole pipeline inside the test's process: the real service and real workers, on a database and a prefix of their own. */
import { randomBytes } from 'node:crypto'
import {
  ASKING_APPLICATION,
  CONNECTIONS_OF_INGEST,
  connect,
  countEvents,
  countPartitions,
  type Db,
  INGEST_APPLICATION,
  OPERATOR_TENANT,
  prepare,
  readEntrySecret,
} from '@eventflow/db'
import { startWorker, type Worker } from '@eventflow/engine'
import { buildApp, listen } from '@eventflow/ingest'
import { connectRedis, createSeal, type Redis, readDepths, type Seal, untilReady } from '@eventflow/redis'
import {
  createIngestMetrics,
  createLog,
  createWorkerMetrics,
  IngestConfig,
  type IngestMetrics,
  readConfig,
  WorkerConfig,
  type WorkerMetrics,
} from '@eventflow/runtime'
import { registerDefinitions } from '@eventflow/schemas'
import type { EventDefinition } from '@eventflow/sdk'
import { post } from './post.js'
import { type ProgramProcess, startProgramProcess } from './program-process.js'
import { createDatabase, redisUrl } from './services.js'
import { until } from './until.js'

export interface TestPipeline {
  app: Awaited<ReturnType<typeof buildApp>>
  /** Where the service listens: `http://127.0.0.1:…`. */
  url: string
  /** Of the workers and the test; the service has its own. */
  db: Db
  redis: Redis
  prefix: string
  /** Of its stream entries. */
  seal: Seal
  databaseUrl: string
  partitions: number
  ingestMetrics: IngestMetrics
  /** What the service and the workers logged so far, warnings and worse unless the level is set otherwise. */
  // biome-ignore lint/suspicious/noExplicitAny: the fields of a log line.
  logged: Record<string, any>[]
  /** Starts one more worker. */
  startWorker(id?: string): Promise<Worker & { metrics: WorkerMetrics }>
  /** Starts a worker as a process of its own, with the definitions of a folder, and what settings it needs besides. */
  startWorkerProcess(id: string, events: string, settings?: Record<string, string>): Promise<ProgramProcess>
  /** Sends events as one batch request and gives the answer; throws when it is not 200. */
  send(events: readonly object[]): Promise<BatchAnswer>
  /** Waits until every accepted event has reached an end. */
  drained(timeoutMs?: number): Promise<void>
  /** Waits until nothing is left in the streams. */
  streamsEmpty(): Promise<void>
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

/** Runs what the definitions prepare. Settings may be given by their names; those that are left out have their defaults. */
export async function startPipeline(
  definitions: readonly EventDefinition[],
  settings: Record<string, string> = {},
): Promise<TestPipeline> {
  const prefix = `t${randomBytes(4).toString('hex')}`
  const env = {
    DATABASE_URL: settings.DATABASE_URL ?? (await createDatabase()),
    REDIS_URL: redisUrl(),
    EVENTFLOW_EVENTS: 'given directly',
    EVENTFLOW_STREAM_PREFIX: prefix,
    EVENTFLOW_LOG_LEVEL: 'warn',
    ...settings,
  }
  await prepare(
    env.DATABASE_URL,
    definitions.flatMap((definition) => definition.prepare ?? []),
  )
  const byType = new Map(definitions.map((definition) => [definition.type, definition]))
  const logged: TestPipeline['logged'] = []
  const config = readConfig(IngestConfig, env)
  const log = createLog('test', config, {}, { write: (line) => logged.push(JSON.parse(line)) })
  const db = pool(env.DATABASE_URL, 'test', 10)
  const redis = connectRedis({ url: env.REDIS_URL, onError: () => {} })
  await untilReady(redis, 5_000)
  const partitions = await countPartitions(db)
  const seal = createSeal(await readEntrySecret(db))
  const registered = await registerDefinitions(db, OPERATOR_TENANT, definitions)
  const service = await startService({ config, redis, log, definitions: byType, partitions })
  const { app, url, ingestMetrics } = service
  const workers = new Set<Worker>()
  const processes: ProgramProcess[] = []

  return {
    app,
    url,
    db,
    redis,
    prefix,
    seal,
    databaseUrl: env.DATABASE_URL,
    partitions,
    ingestMetrics,
    logged,
    async startWorker(id = `worker-${workers.size + 1}`) {
      const metrics = createWorkerMetrics(id, byType.keys())
      const config = readConfig(WorkerConfig, env)
      const worker = await startWorker({ id, config, db, redis, log, metrics, definitions: byType, registered })
      workers.add(worker)
      const stop = () => {
        workers.delete(worker)
        return worker.stop()
      }
      return { ...worker, stop, metrics }
    },
    async startWorkerProcess(id, events, given = {}) {
      const { DATABASE_URL, REDIS_URL } = env
      const process = await startProgramProcess('worker', {
        DATABASE_URL,
        REDIS_URL,
        EVENTFLOW_STREAM_PREFIX: prefix,
        EVENTFLOW_WORKER_ID: id,
        EVENTFLOW_EVENTS: events,
        ...given,
      })
      processes.push(process)
      return process
    },
    async send(events) {
      const response = await post(`${url}/v1/events/batch`, events)
      if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`)
      return (await response.json()) as BatchAnswer
    },
    async drained(timeoutMs) {
      await until('everything is settled', async () => (await countEvents(db)).unsettled === 0, timeoutMs)
    },
    async streamsEmpty() {
      await until('the streams are empty', async () =>
        (await readDepths(redis, prefix, partitions)).every(({ length, pending }) => length === 0 && pending === 0),
      )
    },
    async stop() {
      for (const process of processes) process.kill('SIGKILL')
      await Promise.all([...processes.map(({ exited }) => exited), ...[...workers].map((worker) => worker.stop())])
      await app.close()
      // Where Redis is away they stay: nobody else's begin with this prefix.
      const keys = await redis.keys(`${prefix}:*`).catch(() => [])
      if (keys.length > 0) await redis.del(keys).catch(() => {})
      redis.disconnect()
      await Promise.all([service.disconnect(), db.end()])
    },
  }
}

const pool = (url: string, applicationName: string, max: number) =>
  connect({ url, applicationName, max, onIdleError: () => {} })

type AppDeps = Parameters<typeof buildApp>[0]

/** The ingest, on a free port. `disconnect` closes its connections to Postgres, once the app is closed. */
async function startService(given: Pick<AppDeps, 'config' | 'redis' | 'log' | 'definitions' | 'partitions'>) {
  const { DATABASE_URL } = given.config
  const db = pool(DATABASE_URL, INGEST_APPLICATION, CONNECTIONS_OF_INGEST.accepting)
  const asking = pool(DATABASE_URL, ASKING_APPLICATION, CONNECTIONS_OF_INGEST.asking)
  const ingestMetrics = createIngestMetrics(given.definitions.keys())
  const app = await buildApp({ ...given, db, asking, metrics: ingestMetrics })
  return {
    app,
    url: await listen(app, '127.0.0.1', 0),
    ingestMetrics,
    disconnect: () => Promise.all([db.end(), asking.end()]),
  }
}
