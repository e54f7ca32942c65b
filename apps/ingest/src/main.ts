/** Starts the ingest service: connects, listens and drains. */
import {
  ASKING_APPLICATION,
  CONNECTIONS_OF_INGEST,
  connect,
  countPartitions,
  createBootstrapKey,
  finishExpansion,
  INGEST_APPLICATION,
  isAway,
  migrate,
  OPERATOR_TENANT,
} from '@eventflow/db'
import { connectRedis } from '@eventflow/redis'
import {
  createIngestMetrics,
  createLog,
  IngestConfig,
  listenError,
  readConfig,
  redacted,
  startTracing,
  stopOnSignal,
  switchLevelOnSignal,
  untilDone,
  watchLoop,
} from '@eventflow/runtime'
import { registerDefinitions } from '@eventflow/schemas'
import { loadDefinitions } from '@eventflow/sdk'
import { failRunningCall } from '@eventflow/sdk/user-code'
import { buildApp } from './app.js'
import { requireSomeKey } from './door/auth.js'
import { serveHealth } from './health-port.js'
import { listen } from './listen.js'

try {
  const config = readConfig(IngestConfig)
  const log = createLog('ingest', config)
  switchLevelOnSignal(log)
  log.info({ config: redacted(config) }, 'starting')
  watchLoop(config, log)
  const tracing = await startTracing('ingest', config, log)
  const loaded = await loadDefinitions(config.EVENTFLOW_EVENTS, { warn: (message) => log.warn(message) })
  const definitions = loaded.events

  const migrateNow = () =>
    migrate(config.DATABASE_URL, {
      partitions: config.EVENTFLOW_PARTITIONS,
      partEvents: config.EVENTFLOW_PART_EVENTS || undefined,
    })
  const applied = await untilDone('migrating', log, migrateNow, isAway)
  if (applied.length > 0) log.info({ applied }, 'database migrated')
  const finish = () => finishExpansion(config.DATABASE_URL, { onProgress: (message) => log.info(message) })
  await untilDone('preparing the tables', log, finish, isAway)

  const openPool = (applicationName: string, max: number, plansOnce = false) =>
    connect({
      url: config.DATABASE_URL,
      ...{ applicationName, max, plansOnce },
      onIdleError: (err) => log.warn({ err }, 'a connection to Postgres broke'),
    })
  const db = openPool(INGEST_APPLICATION, CONNECTIONS_OF_INGEST.accepting, true)
  const asking = openPool(ASKING_APPLICATION, CONNECTIONS_OF_INGEST.asking)
  const redis = connectRedis({ url: config.REDIS_URL, onError: (err) => log.warn({ err }, 'Redis') })
  const metrics = createIngestMetrics(definitions.keys())
  const partitions = await untilDone('reading the partitions', log, () => countPartitions(db), isAway)
  const makeKeys = async () => {
    if (config.EVENTFLOW_BOOTSTRAP_KEY) await createBootstrapKey(db, config.EVENTFLOW_BOOTSTRAP_KEY)
    await requireSomeKey(db, config)
  }
  await untilDone('reading the API keys', log, makeKeys, isAway)
  await untilDone(
    'registering the schemas',
    log,
    () => registerDefinitions(db, OPERATOR_TENANT, definitions.values()),
    isAway,
  )
  const app = await buildApp({ config, db, asking, redis, log, metrics, tracing, definitions, partitions })

  const { EVENTFLOW_HOST, EVENTFLOW_PORT, EVENTFLOW_HEALTH_PORT } = config
  await listen(app, EVENTFLOW_HOST, EVENTFLOW_PORT).catch((error) => {
    throw listenError(error, 'EVENTFLOW_PORT', 'choose another one')
  })
  const health = EVENTFLOW_HEALTH_PORT > 0 ? await serveHealth(app, EVENTFLOW_HOST, EVENTFLOW_HEALTH_PORT) : undefined
  process.send?.('working')

  stopOnSignal(
    log,
    config.EVENTFLOW_SHUTDOWN_TIMEOUT_MS,
    [
      { name: 'http', stop: () => app.close() },
      { name: 'health', stop: async () => health?.close().closeAllConnections() },
      // No request is running any more; QUIT would fail while Redis is away.
      { name: 'redis', stop: async () => redis.disconnect() },
      { name: 'postgres', stop: () => Promise.all([db.end(), asking.end()]) },
      { name: 'traces', stop: async () => tracing?.stop() },
    ],
    process.exit,
    { claim: failRunningCall },
  )
} catch (error) {
  console.error(`eventflow-ingest cannot start: ${(error as Error).message}`)
  process.exit(1)
}
