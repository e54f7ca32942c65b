/** Starts a worker: connects, works, and drains in reverse order. */
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import {
  connect,
  finishExpansion,
  followIncarnation,
  isAway,
  migrate,
  OPERATOR_TENANT,
  prepare,
  readEntryKey,
  WORKER_APPLICATION,
} from '@eventflow/db'
import { describeHealth, idleTimeoutOf, showCircuits, startWorker, type Worker } from '@eventflow/engine'
import { connectRedis, openRedisForWorker } from '@eventflow/redis'
import {
  createLog,
  createWorkerMetrics,
  readConfig,
  redacted,
  serveMetrics,
  startTracing,
  stopOnSignal,
  switchLevelOnSignal,
  untilDone,
  WorkerConfig,
  watchLoop,
} from '@eventflow/runtime'
import { registerDefinitions } from '@eventflow/schemas'
import { loadDefinitions } from '@eventflow/sdk'
import { failRunningCall } from '@eventflow/sdk/user-code'
import { startRemovingStateHistory } from '@eventflow/upkeep'

try {
  const { values: options } = parseArgs({ options: { groups: { type: 'string' } } })
  const config = readConfig(WorkerConfig, undefined, { EVENTFLOW_GROUPS: options.groups })
  const workerId = config.EVENTFLOW_WORKER_ID || `${hostname()}-${process.pid}`
  const log = createLog('worker', config, { worker_id: workerId })
  switchLevelOnSignal(log)
  log.info({ config: redacted(config) }, 'starting')
  watchLoop(config, log)
  const tracing = await startTracing('worker', config, log, workerId)
  const loaded = await loadDefinitions(config.EVENTFLOW_EVENTS, { warn: (message) => log.warn(message) })
  const { events: definitions, consumers, windows, joins } = loaded
  const readers = [...consumers.values(), ...windows.values(), ...joins.values()]

  const migrateNow = () =>
    migrate(config.DATABASE_URL, {
      partitions: config.EVENTFLOW_PARTITIONS,
      partEvents: config.EVENTFLOW_PART_EVENTS || undefined,
    })
  const applied = await untilDone('migrating', log, migrateNow, isAway)
  if (applied.length > 0) log.info({ applied }, 'database migrated')
  const finish = () => finishExpansion(config.DATABASE_URL, { onProgress: (message) => log.info(message) })
  await untilDone('preparing the tables', log, finish, isAway)
  const prepared = [...definitions.values(), ...consumers.values(), ...windows.values()]
  const preparations = prepared.flatMap((definition) => definition.prepare ?? [])
  await untilDone('preparing', log, () => prepare(config.DATABASE_URL, preparations), isAway)

  const db = connect({
    url: config.DATABASE_URL,
    applicationName: WORKER_APPLICATION,
    max: config.EVENTFLOW_LANES + 4,
    idleTimeoutMs: idleTimeoutOf(config.EVENTFLOW_LEASE_SECONDS * 1_000),
    onIdleError: (err) => log.warn({ err }, 'a connection to Postgres broke'),
  })
  const register = () => registerDefinitions(db, OPERATOR_TENANT, definitions.values())
  const registered = await untilDone('registering the schemas', log, register, isAway)
  const onError = (err: Error) => log.warn({ err }, 'Redis')
  const redis = connectRedis({ url: config.REDIS_URL, onError })
  const metrics = createWorkerMetrics(workerId, definitions.keys())
  showCircuits(log, metrics)
  let phase: 'starting' | 'working' | 'stopping' = 'starting'
  let worker: Worker | undefined
  const server = await serveMetrics({
    host: config.EVENTFLOW_HOST,
    port: config.EVENTFLOW_METRICS_PORT,
    registry: metrics.registry,
    refresh: async () => worker?.refreshGauges(),
    health: () => (phase === 'working' && worker ? describeHealth(worker.health()) : { status: phase }),
  })
  const key = await untilDone('reading the secret of the stream entries', log, () => readEntryKey(db), isAway)
  const redisOptions = {
    url: config.REDIS_URL,
    redis,
    prefix: config.EVENTFLOW_STREAM_PREFIX,
    secret: key.secret,
    maxStreamLength: config.EVENTFLOW_MAX_STREAM_LENGTH,
    onError,
  }
  const lanes = config.EVENTFLOW_GROUPS === '' ? config.EVENTFLOW_LANES : 0
  const ports = await openRedisForWorker({ ...redisOptions, workerId, lanes })
  const onIncarnation = followIncarnation(db, key, ports.renewSecret)
  worker = await startWorker({
    ...{ id: workerId, ...ports, onIncarnation, config, db, log, metrics, tracing, definitions, registered },
    readers,
  })
  const days = config.EVENTFLOW_RETENTION_SETTLED_DAYS
  const history = startRemovingStateHistory({ db, workerId, days, log })
  phase = 'working'
  const { port } = server.address() as AddressInfo
  log.info({ types: [...definitions.keys()], metrics_port: port }, 'working')
  process.send?.('working')

  stopOnSignal(
    log,
    config.EVENTFLOW_SHUTDOWN_TIMEOUT_MS,
    [
      {
        name: 'readiness',
        stop: async () => {
          phase = 'stopping'
        },
      },
      { name: 'retention of results', stop: () => history.stop() },
      { name: 'work', stop: () => worker.stop() },
      // No command is running any more; QUIT would fail while Redis is away.
      { name: 'redis', stop: async () => redis.disconnect() },
      { name: 'postgres', stop: () => db.end() },
      { name: 'metrics', stop: async () => server.close() },
      { name: 'traces', stop: async () => tracing?.stop() },
    ],
    process.exit,
    { claim: failRunningCall, onUnhandled: (type) => metrics.unhandledErrors.inc({ type: metrics.typeOf(type) }) },
  )
} catch (error) {
  console.error(`eventflow-worker cannot start: ${(error as Error).message}`)
  process.exit(1)
}
