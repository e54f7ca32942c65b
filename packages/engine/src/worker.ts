/** A worker: starts its lanes, ownership, retention and watchdog. */
import { setMaxListeners } from 'node:events'
import { hostname } from 'node:os'
import { type Feed, type FeedMonitor, type Publisher, UnavailableError } from '@eventflow/core'
import { asSql, type Db, isAway, isConnectionLoss, OPERATOR_TENANT } from '@eventflow/db'
import { startTelling } from '@eventflow/monitor'
import {
  type Logger,
  readWorkerFigures,
  type Tracing,
  untilDone,
  type WorkerConfig,
  type WorkerMetrics,
} from '@eventflow/runtime'
import { followSchemas, type Registry } from '@eventflow/schemas'
import type { EnrichContext, EventDefinition, Sql } from '@eventflow/sdk'
import { startKeepingBuckets, startMakingParts } from '@eventflow/upkeep'
import { compileReader, type ReaderDefinition } from './compile-reader.js'
import { startGroups } from './groups/start-groups.js'
import { type Lane, startLane } from './lane/lane.js'
import { createTurns } from './lane/turns.js'
import { startOwnership } from './ownership/ownership.js'
import { startRetention } from './ownership/retention.js'
import { startTicks } from './ownership/ticks.js'
import { compileDefinitions, type Definitions, orderOf, retryOf } from './process/definitions.js'
import { handlerLimitsOf } from './settle/effects.js'
import { refreshWorkerGauges } from './watch/gauges.js'
import { startWatchdog, type WorkerHealth } from './watch/watchdog.js'

export interface WorkerDeps {
  /** The same after every restart, so that a worker gets its partitions back at once. */
  id: string
  /** Unique among all processes that ever had this id. */
  run: string
  config: WorkerConfig
  db: Db
  /** One feed for each lane, each with its own consumer name. The worker closes them. */
  feeds: readonly Feed[]
  monitor: FeedMonitor
  /** The cache for lookups of enrichers, shared by all workers. */
  cache: EnrichContext['cache']
  log: Logger
  metrics: WorkerMetrics
  /** Undefined if tracing is off. */
  tracing?: Tracing | undefined
  definitions: ReadonlyMap<string, EventDefinition>
  /** The registered version of each definition's schema. */
  registered: ReadonlyMap<string, number>
  /** The consumer groups that it reads. */
  readers: readonly ReaderDefinition[]
  /** Publishes the events that consumer groups emit. */
  publisher: Publisher
  /** Called with the incarnation of the ledger when a partition begins; see `followIncarnation`. */
  onIncarnation(incarnation: number): Promise<boolean>
}

export interface Worker {
  /** Whether the worker makes progress, as of a few seconds ago. */
  health(): WorkerHealth
  /** Updates the gauges that are only computed on demand. Never rejects. */
  refreshGauges(): Promise<void>
  /** Finishes the current batches, gives all partitions back and closes the feeds. */
  stop(): Promise<void>
}

/** Starts a worker. Waits while Postgres is away. Rejects if a definition's schema is invalid. */
export async function startWorker(deps: WorkerDeps): Promise<Worker> {
  const { id, run, config, db, feeds, monitor, log, metrics } = deps
  const only = config.EVENTFLOW_GROUPS === '' ? undefined : config.EVENTFLOW_GROUPS.split(',')
  const consumers = readersFor(only, deps.readers).map(compileReader)
  const definitions = compileDefinitions(deps.definitions)
  const schemas = await readSchemas(deps, definitions)
  // A call that hangs must not keep the worker from stopping.
  const abandoning = new AbortController()
  setMaxListeners(0, abandoning.signal)
  const leaseMs = Math.round(config.EVENTFLOW_LEASE_SECONDS * 1_000)
  const shared = {
    ...limitsOf(config, leaseMs),
    db,
    workerId: id,
    log,
    metrics,
    tracing: deps.tracing,
    definitions,
    schemas,
    orderOf: orderOf(definitions),
    retryOf: retryOf(definitions),
    onIncarnation: deps.onIncarnation,
    context: { sql: sqlOf(db), cache: deps.cache },
    abandon: abandoning.signal,
    random: Math.random,
    turns: createTurns(),
    onProcessed: () => groups.wake(),
    maxWaitingBytes: config.EVENTFLOW_MAX_WAITING_BYTES / Math.max(1, feeds.length),
  }
  const lanes: Lane[] = []
  const groups = await startGroups({
    ...{ ...shared, publisher: deps.publisher, url: config.DATABASE_URL, leaseMs },
    consumers,
    maxParked: config.EVENTFLOW_MAX_WAITING,
    maxParkedBytes: config.EVENTFLOW_MAX_WAITING_BYTES,
    eventLimitBytes: config.EVENTFLOW_EVENT_LIMIT_BYTES,
    owned: only ? undefined : () => lanes.flatMap((lane) => lane.partitions().map(({ partition }) => partition)),
  }).catch(async (error) => {
    await schemas.stop()
    throw error
  })
  lanes.push(...feeds.map((feed) => startLane({ ...shared, feed })))
  const worker = { id, host: hostname(), pid: process.pid, run, leaseMs, groups: only }
  const ownership = startOwnership({ db, worker, lanes, log })
  const owned = () => lanes.flatMap((lane) => lane.partitions())
  const ticks = startTicks({ db, log, owned, onWritten: shared.onProcessed })
  const rules = {
    settledDays: config.EVENTFLOW_RETENTION_SETTLED_DAYS,
    deadDays: config.EVENTFLOW_RETENTION_DEAD_DAYS,
    archivedOnly: config.EVENTFLOW_RETENTION_ARCHIVE === 'required',
  }
  const stalledAfterMs = config.EVENTFLOW_STALLED_AFTER_SECONDS * 1_000
  const watchdog = startWatchdog({ lanes, workerId: id, db, feed: monitor, stalledAfterMs, log, metrics })
  const url = config.DATABASE_URL
  const retention = startRetention({ db, url, workerId: id, rules, log })
  const width = { partEvents: config.EVENTFLOW_PART_EVENTS, keptDays: rules.settledDays }
  const parts = startMakingParts({ db, url, width, patience: 0, log })
  const days = config.EVENTFLOW_DEDUPLICATION_DAYS || rules.settledDays
  const buckets = startKeepingBuckets({ db, url, workerId: id, days, log })
  const telling = startTelling(db, { process: id, service: 'worker' }, () => readWorkerFigures(metrics))

  return {
    health: () => ({ ...watchdog.health(), rival: ownership.rival() }),
    refreshGauges: () => refreshWorkerGauges({ db, feed: monitor, metrics }, lanes),
    async stop() {
      const abandon = setTimeout(() => abandoning.abort(), config.EVENTFLOW_SHUTDOWN_TIMEOUT_MS / 3)
      // A step of the upkeep may take minutes: the partitions must not wait for it.
      const upkeep = Promise.all([retention.stop(), parts.stop(), buckets.stop()])
      const loops = [watchdog, schemas, telling, ticks, groups, ...lanes]
      await Promise.all(loops.map((loop) => loop.stop()))
      clearTimeout(abandon)
      await ownership.stop()
      await Promise.all(feeds.map((feed) => feed.close()))
      await upkeep
    },
  }
}

/** The consumer groups that the worker reads: `only` those named, or all. Throws if one of them is not defined. */
function readersFor(only: readonly string[] | undefined, readers: readonly ReaderDefinition[]) {
  if (!only) return readers
  return only.map((name) => {
    const reader = readers.find((one) => one.name === name)
    if (reader) return reader
    throw new Error(`EVENTFLOW_GROUPS names '${name}', and no such consumer group is defined`)
  })
}

/** The limits from the settings, in milliseconds and events. */
function limitsOf(config: WorkerConfig, leaseMs: number) {
  const callMs = config.EVENTFLOW_HANDLER_TIMEOUT_SECONDS * 1_000
  const transactionMs = config.EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS * 1_000
  return {
    handlerLimits: handlerLimitsOf({ callMs, transactionMs }, leaseMs),
    enrichTimeoutMs: config.EVENTFLOW_ENRICH_TIMEOUT_SECONDS * 1_000,
    maxWaiting: config.EVENTFLOW_MAX_WAITING,
  }
}

/** Follows the registered schemas. Those of the definitions are known from the start. */
async function readSchemas({ db, log, registered }: WorkerDeps, definitions: Definitions): Promise<Registry> {
  const follow = () => followSchemas(db, (err) => log.warn({ err }, 'reading new schemas failed'))
  const schemas = await untilDone('reading the schemas', log, follow, isAway)
  for (const [type, version] of registered) {
    const subject = { tenantId: OPERATOR_TENANT, type }
    schemas.versions.announce(subject, version)
    schemas.versions.keep(subject, version, definitions.get(type)!.contract, { forEver: true })
  }
  return schemas
}

/**
 * SQL for enrichers. While Postgres is away, their events wait and no attempt is charged. A statement that fails or
 * times out on a live connection counts as a failed attempt.
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
