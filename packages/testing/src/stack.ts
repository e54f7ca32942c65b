/** The HTTP service and a worker inside this process, wired as their programs wire them. */
import { randomBytes } from 'node:crypto'
import {
  ASKING_APPLICATION,
  CONNECTIONS_OF_INGEST,
  connect,
  countPartitions,
  type Db,
  followIncarnation,
  INGEST_APPLICATION,
  OPERATOR_TENANT,
  prepare,
  readEntryKey,
  WORKER_APPLICATION,
} from '@eventflow/db'
import { startWorker } from '@eventflow/engine'
import { buildApp, listen } from '@eventflow/ingest'
import { connectRedis, openRedisForWorker, untilReady } from '@eventflow/redis'
import {
  createIngestMetrics,
  createLog,
  createWorkerMetrics,
  IngestConfig,
  readConfig,
  WorkerConfig,
} from '@eventflow/runtime'
import { registerDefinitions } from '@eventflow/schemas'
import type { EventDefinition } from '@eventflow/sdk'

/** What {@link startStack} needs. */
interface StackOptions {
  databaseUrl: string
  redisUrl: string
  definitions: readonly EventDefinition[]
  settings: Readonly<Record<string, string>>
  log: (line: string) => void
}

/** A running service and worker. */
interface Stack {
  /** Where the service listens: `http://127.0.0.1:…`. */
  url: string
  /** Connections of the worker's role, for the test to look at the database. */
  db: Db
  stop(): Promise<void>
}

const WORKER = 'worker-1'

/** Starts both. When that fails, nothing is left open. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const opened: (() => unknown)[] = []
  const stop = async () => {
    for (const close of opened.splice(0).reverse()) await close()
  }
  try {
    return { ...(await start(options, opened)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** `opened` gets what closes each part, in the order in which they were opened. */
async function start(
  { databaseUrl, redisUrl, definitions, settings, log: write }: StackOptions,
  opened: (() => unknown)[],
): Promise<Omit<Stack, 'stop'>> {
  const env = {
    EVENTFLOW_STREAM_PREFIX: `t${randomBytes(4).toString('hex')}`,
    EVENTFLOW_LOG_LEVEL: 'warn',
    ...settings,
    ...{ DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, EVENTFLOW_EVENTS: 'given by the test' },
  }
  const [ingestConfig, workerConfig] = [readConfig(IngestConfig, env), readConfig(WorkerConfig, env)]
  const log = createLog('test', ingestConfig, {}, { write: (line) => write(line.trimEnd()) })
  const byType = new Map(definitions.map((definition) => [definition.type, definition]))
  await prepare(
    databaseUrl,
    definitions.flatMap((definition) => definition.prepare ?? []),
  )

  const openPool = (applicationName: string, max: number) => {
    const pool = connect({ url: databaseUrl, applicationName, max, onIdleError: () => {} })
    opened.push(() => pool.end())
    return pool
  }
  const db = openPool(WORKER_APPLICATION, workerConfig.EVENTFLOW_LANES + 6)
  const onError = (err: Error) => log.warn({ err }, 'Redis')
  const redis = connectRedis({ url: redisUrl, onError })
  opened.push(() => redis.disconnect())
  await untilReady(redis, 5_000)
  const registered = await registerDefinitions(db, OPERATOR_TENANT, definitions)

  const key = await readEntryKey(db)
  const ports = await openRedisForWorker({
    ...{ url: redisUrl, redis, prefix: workerConfig.EVENTFLOW_STREAM_PREFIX, secret: key.secret },
    ...{ workerId: WORKER, lanes: workerConfig.EVENTFLOW_LANES, onError },
    maxStreamLength: workerConfig.EVENTFLOW_MAX_STREAM_LENGTH,
  })
  const worker = await startWorker({
    ...{ id: WORKER, ...ports, config: workerConfig, db, log, definitions: byType, registered },
    onIncarnation: followIncarnation(db, key, ports.renewSecret),
    readers: [],
    metrics: createWorkerMetrics(WORKER, byType.keys()),
  })
  opened.push(() => worker.stop())
  const app = await buildApp({
    ...{ config: ingestConfig, redis, log, definitions: byType },
    db: openPool(INGEST_APPLICATION, CONNECTIONS_OF_INGEST.accepting),
    asking: openPool(ASKING_APPLICATION, CONNECTIONS_OF_INGEST.asking),
    metrics: createIngestMetrics(byType.keys()),
    partitions: await countPartitions(db),
  })
  opened.push(() => app.close())
  return { url: await listen(app, '127.0.0.1', 0), db }
}
