/** A worker: its lanes, the ownership that feeds them, and the removal of what is old. */
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { hostname } from 'node:os'
import { UnavailableError } from '@eventflow/core'
import { asSql, type Db, isConnectionLoss, OPERATOR_TENANT, readEntrySecret, sqlErrorKind } from '@eventflow/db'
import { startTelling } from '@eventflow/monitor'
import { connectRedis, createCache, createSeal, type Redis, untilReady } from '@eventflow/redis'
import {
  type Logger,
  readWorkerFigures,
  type Tracing,
  untilDone,
  type WorkerConfig,
  type WorkerMetrics,
} from '@eventflow/runtime'
import { followSchemas } from '@eventflow/schemas'
import type { EventDefinition, Sql } from '@eventflow/sdk'
import { startLane } from './lane/lane.js'
import { createTurns } from './lane/turns.js'
import { startOwnership } from './ownership/ownership.js'
import { startRetention } from './ownership/retention.js'
import { compileDefinitions, orderOf } from './process/definitions.js'
import { handlerLimitsOf } from './settle/effects.js'
import { refreshWorkerGauges } from './watch/gauges.js'
import { startWatchdog, type WorkerHealth } from './watch/watchdog.js'

export interface WorkerDeps {
  /** Stable over restarts, so that a worker has its partitions back at once. */
  id: string
  config: WorkerConfig
  db: Db
  redis: Redis
  log: Logger
  metrics: WorkerMetrics
  /** Nothing where traces are off. */
  tracing?: Tracing | undefined
  definitions: ReadonlyMap<string, EventDefinition>
  /** The version of each definition's schema, as it is registered. */
  registered: ReadonlyMap<string, number>
}

export interface Worker {
  /** Whether it makes progress, as of some seconds ago at the most. */
  health(): WorkerHealth
  /** Brings the gauges up to date that are not kept so. Never rejects. */
  refreshGauges(): Promise<void>
  /** Settles what is in hand, gives the partitions back and takes no more. */
  stop(): Promise<void>
}

/** Starts to work. Throws when a definition's schema is not valid. */
export async function startWorker({
  id,
  config,
  db,
  redis,
  log,
  metrics,
  tracing,
  definitions,
  registered,
}: WorkerDeps): Promise<Worker> {
  const prefix = config.EVENTFLOW_STREAM_PREFIX
  const compiled = compileDefinitions(definitions)
  const follow = () => followSchemas(db, (err) => log.warn({ err }, 'looking for new schemas failed'))
  const isAway = (error: unknown) => sqlErrorKind(error) === 'infrastructure'
  const schemas = await untilDone('reading the schemas', log, follow, isAway)
  const seal = createSeal(await untilDone('reading the secret of the entries', log, () => readEntrySecret(db), isAway))
  for (const [type, version] of registered) {
    const subject = { tenantId: OPERATOR_TENANT, type }
    schemas.versions.announce(subject, version)
    schemas.versions.keep(subject, version, compiled.get(type)!.contract, { forEver: true })
  }
  const readers = Array.from({ length: config.EVENTFLOW_LANES }, () =>
    connectRedis({ url: config.REDIS_URL, blocking: true, onError: (err) => log.warn({ err }, 'Redis') }),
  )
  // What does not answer must not keep the worker from stopping.
  const abandoning = new AbortController()
  setMaxListeners(0, abandoning.signal)
  // A worker starts without Redis too; its lanes then wait for it.
  await Promise.all([redis, ...readers].map((connection) => untilReady(connection, 2_000).catch(() => {})))
  // The next process under this id, and the other lane, are others to Redis: what they were given is not this one's to go on with.
  const run = randomBytes(4).toString('hex')
  const leaseMs = Math.round(config.EVENTFLOW_LEASE_SECONDS * 1_000)
  const callMs = config.EVENTFLOW_HANDLER_TIMEOUT_SECONDS * 1_000
  const handlerLimits = handlerLimitsOf(
    { callMs, transactionMs: config.EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS * 1_000 },
    leaseMs,
  )
  const turns = createTurns()
  const lanes = readers.map((reader, lane) =>
    startLane({
      db,
      reader,
      redis,
      prefix,
      seal,
      workerId: id,
      lane: `${id}:${run}:${lane}`,
      log,
      metrics,
      tracing,
      definitions: compiled,
      schemas,
      orderOf: orderOf(compiled),
      context: { sql: sqlOf(db), cache: createCache(redis, prefix) },
      enrichTimeoutMs: config.EVENTFLOW_ENRICH_TIMEOUT_SECONDS * 1_000,
      abandon: abandoning.signal,
      random: Math.random,
      turns,
      maxWaiting: config.EVENTFLOW_MAX_WAITING,
      handlerLimits,
      maxWaitingBytes: config.EVENTFLOW_MAX_WAITING_BYTES / config.EVENTFLOW_LANES,
    }),
  )
  const ownership = startOwnership({ db, worker: { id, host: hostname(), pid: process.pid, run, leaseMs }, lanes, log })
  const ages = {
    settledDays: config.EVENTFLOW_RETENTION_SETTLED_DAYS,
    deadDays: config.EVENTFLOW_RETENTION_DEAD_DAYS,
  }
  const stalledAfterMs = config.EVENTFLOW_STALLED_AFTER_SECONDS * 1_000
  const watchdog = startWatchdog({ lanes, workerId: id, db, redis, prefix, stalledAfterMs, log, metrics })
  const retention = startRetention({ db, workerId: id, ages, log })
  const telling = startTelling(db, { process: id, service: 'worker' }, () => readWorkerFigures(metrics))

  return {
    health: () => ({ ...watchdog.health(), rival: ownership.rival() }),
    refreshGauges: () => refreshWorkerGauges({ db, redis, metrics }, lanes),
    async stop() {
      watchdog.stop()
      const abandon = setTimeout(() => abandoning.abort(), config.EVENTFLOW_SHUTDOWN_TIMEOUT_MS / 3)
      await Promise.all([schemas.stop(), retention.stop(), telling.stop(), ...lanes.map((lane) => lane.stop())])
      clearTimeout(abandon)
      await ownership.stop()
      for (const reader of readers) reader.disconnect()
    },
  }
}

/**
 * SQL for enrichers: while Postgres is away their events wait, and no attempt is charged. A statement that fails or takes too
 * long on a connection that lives has failed by itself, and counts.
 */
function sqlOf(db: Db): Sql {
  const sql = asSql(db)
  return {
    query: <Row>(text: string, values?: readonly unknown[]) =>
      sql.query<Row>(text, values).catch((cause) => {
        throw isConnectionLoss(cause) ? new UnavailableError('postgres', { cause }) : cause
      }),
  }
}
