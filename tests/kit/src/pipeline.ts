/**
 * A whole pipeline inside the test's process: the real service and real workers, with a new database and stream prefix.
 */
import { randomBytes } from 'node:crypto'
import type { Feed } from '@eventflow/core'
import {
  ASKING_APPLICATION,
  CONNECTIONS_OF_INGEST,
  connect,
  countPartitions,
  type Db,
  type EntryKey,
  followIncarnation,
  INGEST_APPLICATION,
  OPERATOR_TENANT,
  prepare,
  readEntryKey,
} from '@eventflow/db'
import { type ReaderDefinition, startWorker, type Worker } from '@eventflow/engine'
import { buildApp, listen } from '@eventflow/ingest'
import {
  connectRedis,
  createSeal,
  openRedisForWorker,
  type Redis,
  readDepths,
  type Seal,
  untilReady,
} from '@eventflow/redis'
import {
  createIngestMetrics,
  createLog,
  createWorkerMetrics,
  IngestConfig,
  type IngestMetrics,
  type Logger,
  readConfig,
  WorkerConfig,
  type WorkerMetrics,
} from '@eventflow/runtime'
import { registerDefinitions } from '@eventflow/schemas'
import type { EventDefinition } from '@eventflow/sdk'
import { everythingIsSettled } from './drained.js'
import { post } from './post.js'
import { type ProgramProcess, startProgramProcess } from './program-process.js'
import { createDatabase, redisUrl } from './services.js'
import { until } from './until.js'

export interface TestPipeline {
  app: Awaited<ReturnType<typeof buildApp>>
  /** Where the service listens: `http://127.0.0.1:…`. */
  url: string
  /** The pool of the workers and the test; the service has another. */
  db: Db
  redis: Redis
  prefix: string
  /** Seals its stream entries. */
  seal: Seal
  databaseUrl: string
  partitions: number
  ingestMetrics: IngestMetrics
  /** What the service and the workers logged so far, warnings and worse by default. */
  // biome-ignore lint/suspicious/noExplicitAny: the fields of a log line.
  logged: Record<string, any>[]
  /**
   * Starts one more worker; `wrap` may put something between the feeds of its lanes and the engine. `given` are
   * additional settings.
   */
  startWorker(
    id?: string,
    wrap?: (feed: Feed) => Feed,
    given?: Record<string, string>,
  ): Promise<Worker & { metrics: WorkerMetrics }>
  /** Starts a worker in a separate process, with the definitions of a folder, and additional settings. */
  startWorkerProcess(id: string, events: string, settings?: Record<string, string>): Promise<ProgramProcess>
  /** Sends events as one batch request and returns the answer; throws if it is not 200. */
  send(events: readonly object[]): Promise<BatchAnswer>
  /** Waits until every accepted event is settled, and handled by the consumer groups. */
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

/** Runs `prepare` of the definitions. Settings may be given by their names; missing ones have their defaults. */
export async function startPipeline(
  definitions: readonly EventDefinition[],
  settings: Record<string, string> = {},
  readers: readonly ReaderDefinition[] = [],
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
    [...definitions, ...readers].flatMap((definition) => ('prepare' in definition && definition.prepare) || []),
  )
  const byType = new Map(definitions.map((definition) => [definition.type, definition]))
  const logged: TestPipeline['logged'] = []
  const ingestConfig = readConfig(IngestConfig, env)
  const log = createLog('test', ingestConfig, {}, { write: (line) => logged.push(JSON.parse(line)) })
  const { app, db, redis, partitions, key, registered, ingestMetrics, disconnect } = await startService(
    ingestConfig,
    byType,
    log,
  )
  const url = await listen(app, '127.0.0.1', 0)
  const workers = new Set<Worker>()
  const processes: ProgramProcess[] = []

  return {
    app,
    url,
    db,
    redis,
    prefix,
    seal: createSeal(key.secret),
    databaseUrl: env.DATABASE_URL,
    partitions,
    ingestMetrics,
    logged,
    async startWorker(id = `worker-${workers.size + 1}`, wrap = (feed) => feed, given = {}) {
      const metrics = createWorkerMetrics(id, byType.keys())
      const config = readConfig(WorkerConfig, { ...env, ...given })
      const options = { url: env.REDIS_URL, redis, prefix, secret: key.secret, workerId: id, onError: () => {} }
      const ports = await openRedisForWorker({
        ...options,
        lanes: config.EVENTFLOW_GROUPS === '' ? config.EVENTFLOW_LANES : 0,
        maxStreamLength: config.EVENTFLOW_MAX_STREAM_LENGTH,
      })
      const feeds = ports.feeds.map(wrap)
      const worker = await startWorker({
        id,
        ...ports,
        feeds,
        config,
        db,
        log,
        metrics,
        definitions: byType,
        readers,
        registered,
        onIncarnation: followIncarnation(db, key, ports.renewSecret),
      }).catch(async (error) => {
        await Promise.all(feeds.map((feed) => feed.close()))
        throw error
      })
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
      await until('everything is settled', () => everythingIsSettled(db), timeoutMs)
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
      // If Redis is down they stay: no other test uses this prefix.
      const keys = await redis.keys(`${prefix}:*`).catch(() => [])
      if (keys.length > 0) await redis.del(keys).catch(() => {})
      await disconnect()
    },
  }
}

/** Builds the service as its program does, with additional connections for the workers and the test. */
async function startService(config: IngestConfig, definitions: ReadonlyMap<string, EventDefinition>, log: Logger) {
  const pool = (applicationName: string, max: number, plansOnce = false) =>
    connect({ url: config.DATABASE_URL, applicationName, max, plansOnce, onIdleError: () => {} })
  const db = pool('test', 10)
  const ingestDb = pool(INGEST_APPLICATION, CONNECTIONS_OF_INGEST.accepting, true)
  const asking = pool(ASKING_APPLICATION, CONNECTIONS_OF_INGEST.asking)
  const redis = connectRedis({ url: config.REDIS_URL, onError: () => {} })
  await untilReady(redis, 5_000)
  const partitions = await countPartitions(db)
  const key: EntryKey = await readEntryKey(db)
  const registered = await registerDefinitions(db, OPERATOR_TENANT, definitions.values())
  const metrics = createIngestMetrics(definitions.keys())
  const app = await buildApp({ config, db: ingestDb, asking, redis, log, metrics, definitions, partitions })
  return {
    ...{ app, db, redis, partitions, key, registered, ingestMetrics: metrics },
    async disconnect() {
      redis.disconnect()
      await Promise.all([ingestDb.end(), asking.end(), db.end()])
    },
  }
}
