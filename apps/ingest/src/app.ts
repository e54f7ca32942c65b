/** The HTTP service without listening on a port. */

import { randomFillSync } from 'node:crypto'
import { hostname } from 'node:os'
import { createUuidV7, DEFAULT_RETRY_POLICY } from '@eventflow/core'
import {
  createReads,
  type Db,
  type EntryKey,
  followIncarnation,
  isAway,
  listGroupsInCode,
  type Reads,
  readEntryKey,
  readFormerIdsUntil,
  readStateFigures,
  type Standby,
  shareOut,
} from '@eventflow/db'
import { type Acceptor, createAcceptor } from '@eventflow/intake'
import { readLag, readStock, sparing, startTelling } from '@eventflow/monitor'
import { createPublisher, createRedisMonitor, createSeal, type Redis } from '@eventflow/redis'
import {
  type IngestConfig,
  type IngestMetrics,
  type Logger,
  readIngestFigures,
  type Tracing,
  untilDone,
} from '@eventflow/runtime'
import { followSchemas } from '@eventflow/schemas'
import type { EventDefinition } from '@eventflow/sdk'
import { startMakingParts } from '@eventflow/upkeep'
import type { FastifyInstance } from 'fastify'
import type { Admission } from './door/admit.js'
import { lock, needsNoKey } from './door/auth.js'
import { createDataCheck } from './door/check-data.js'
import { createKeyring } from './door/keyring.js'
import { boundRequests, createQuotas } from './door/quotas.js'
import { beatWhileOpen } from './heartbeat.js'
import { readBodies } from './http/bodies.js'
import { serveConsole } from './http/console.js'
import { documentRoutes } from './http/docs.js'
import { createPaging } from './http/paging.js'
import { createServer } from './http/server.js'
import { startCollector } from './live/collector.js'
import { createLogWatch } from './live/log-watch.js'
import { createPipelineGauges } from './live/pipeline-gauges.js'
import { createSettledWatch } from './live/settled.js'
import { createOperations } from './operations/operations.js'
import { auditRoutes } from './routes/audit-log.js'
import { deadLetterRoutes } from './routes/dead-letters.js'
import { eventTypeRoutes } from './routes/event-types.js'
import { eventRoutes } from './routes/events.js'
import { groupDeadLetterRoutes } from './routes/group-dead-letters.js'
import { groupPositionRoutes } from './routes/group-positions.js'
import { groupRoutes } from './routes/groups.js'
import { healthRoutes } from './routes/health.js'
import { joinRoutes } from './routes/joins.js'
import { keyRoutes } from './routes/keys.js'
import { liveRoutes } from './routes/live.js'
import { logRoutes } from './routes/log.js'
import { operationRoutes } from './routes/operations.js'
import { schemaRoutes } from './routes/schemas.js'
import { searchRoutes } from './routes/search.js'
import { startOperationRoutes } from './routes/start-operation.js'
import { waitingRoutes } from './routes/waiting.js'
import { windowRoutes } from './routes/windows.js'
import { openStandby } from './standby.js'

/** How old the shown state of the pipeline may be, in milliseconds; older if reading it takes long. */
const LAG_FRESH_MS = 1_000
const STOCK_FRESH_MS = 10_000

/**
 * The turns for connections that do not accept events, by tenant: one tenant leaves room for the others and, because
 * there are more connections than turns, for the service's own reads.
 */
const ASKING_TURNS = { atOnce: 6, atOnceEach: 3, waitingEach: 500 }

export interface AppDeps {
  config: IngestConfig
  /** The connections for accepting events, and for what that depends on. */
  db: Db
  /** The connections for everything else. */
  asking: Db
  redis: Redis
  log: Logger
  metrics: IngestMetrics
  /** Undefined if tracing is off. */
  tracing?: Tracing | undefined
  definitions: ReadonlyMap<string, EventDefinition>
  /** The number of partitions of the database. */
  partitions: number
}

/**
 * Builds the service. Its `close()` answers the current requests and accepts no more. Rejects if the settings or the
 * database are unusable.
 */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { config, db, asking, redis, log, metrics, tracing, definitions, partitions } = deps
  const { app, isOpen } = createServer({ config, log, metrics, tracing })
  lock(app, { keyring: createKeyring({ db, log }), keyless: needsNoKey(config) })
  const quotas = createQuotas({ redis, prefix: config.EVENTFLOW_STREAM_PREFIX, log })
  boundRequests(app, quotas)
  readBodies(app, quotas, {
    bodyLimit: config.EVENTFLOW_BODY_LIMIT_BYTES,
    eventLimit: config.EVENTFLOW_EVENT_LIMIT_BYTES,
    totalLimit: config.EVENTFLOW_MAX_IN_FLIGHT_BYTES,
    leastRate: config.EVENTFLOW_MIN_BODY_BYTES_PER_SECOND,
    batchLimit: config.EVENTFLOW_BATCH_LIMIT,
  })
  await documentRoutes(app)
  beatWhileOpen(app, db, log)

  const standby = await openStandby(app, { config, primary: asking, log, metrics })
  const stored = await readStored(deps)
  const { entryKey, schemas } = stored
  app.addHook('onClose', () => schemas.stop())
  const dbOf = shareOut(asking, ASKING_TURNS)
  const reads = createReads({ primary: asking, dbOf, standby }, ASKING_TURNS)
  eventRoutes(app, {
    dbOf,
    acceptor: acceptorOf(deps, stored),
    admission: admissionOf(deps),
    dataCheck: createDataCheck(definitions.values(), schemas),
    settled: createSettledWatch(asking),
    quotas,
    metrics,
    tracing,
    batchLimit: config.EVENTFLOW_BATCH_LIMIT,
    traceUrl: config.EVENTFLOW_TRACE_URL,
    examples: [...definitions.values()].flatMap(({ type, example }) => (example ? [{ type, data: example }] : [])),
  })
  const width = { partEvents: config.EVENTFLOW_PART_EVENTS, keptDays: 0 }
  const parts = startMakingParts({ db: asking, url: config.DATABASE_URL, width, patience: 3, log })
  app.addHook('onClose', () => parts.stop())
  const operations = createOperations({ db: asking, dbOf, log })
  app.addHook('onClose', () => operations.stop())
  const { readPage, readPlacePage } = createPaging(entryKey.secret)
  deadLetterRoutes(app, { dbOf, reads, readPage })
  startOperationRoutes(app, { dbOf, reads, operations, definitions })
  operationRoutes(app, { dbOf, operations })
  groupRoutes(app, { dbOf, reads, readPage })
  groupDeadLetterRoutes(app, { dbOf, reads, readPage })
  windowRoutes(app, { reads, readPage, readPlacePage, partitions })
  joinRoutes(app, { reads, readPage, readPlacePage, partitions })
  searchRoutes(app, { dbOf, reads, readPage, partitions })
  eventTypeRoutes(app, { definitions })
  logRoutes(app, { dbOf, reads, watch: createLogWatch(asking, partitions), partitions })
  groupPositionRoutes(app, { dbOf, reads, partitions })
  auditRoutes(app, { reads, readPage })
  keyRoutes(app, { dbOf })
  schemaRoutes(app, { dbOf, reads })

  const { collector, lag, refreshGauges, unordered } = watchPipeline(app, deps, reads, standby)
  liveRoutes(app, { collector })
  waitingRoutes(app, { dbOf, reads, unordered })
  await serveConsole(app, log)
  healthRoutes(app, { accepting: db, asking, dbOf, redis, metrics, lag, refreshGauges, isOpen })
  return app
}

/** What is read from the database before the first request. */
interface Stored {
  entryKey: EntryKey
  formerIdsUntil: Awaited<ReturnType<typeof readFormerIdsUntil>>
  schemas: Awaited<ReturnType<typeof followSchemas>>
}

/** Reads it, and waits while Postgres is away. */
async function readStored({ db, log }: AppDeps): Promise<Stored> {
  const follow = () => followSchemas(db, (err) => log.warn({ err }, 'reading new schemas failed'))
  return {
    entryKey: await untilDone('reading the secret of the stream entries', log, () => readEntryKey(db), isAway),
    formerIdsUntil: await untilDone('reading the age of former ids', log, () => readFormerIdsUntil(db), isAway),
    schemas: await untilDone('reading the schemas', log, follow, isAway),
  }
}

function acceptorOf({ config, db, redis, log, metrics }: AppDeps, { entryKey, formerIdsUntil }: Stored): Acceptor {
  const seal = createSeal(entryKey.secret)
  return createAcceptor({
    db,
    publisher: createPublisher(redis, config.EVENTFLOW_STREAM_PREFIX, seal, config.EVENTFLOW_MAX_STREAM_LENGTH),
    log,
    metrics,
    maxInFlight: config.EVENTFLOW_MAX_IN_FLIGHT,
    maxInFlightSize: config.EVENTFLOW_MAX_IN_FLIGHT_BYTES,
    formerIdsUntil,
    onIncarnation: followIncarnation(db, entryKey, seal.renew),
  })
}

function admissionOf({ config, log, definitions, partitions }: AppDeps): Admission {
  return {
    definitions,
    partitions,
    newId: createUuidV7(Date.now, (buffer) => randomFillSync(buffer)),
    now: Date.now,
    eventLimitBytes: config.EVENTFLOW_EVENT_LIMIT_BYTES,
    maxFutureMs: config.EVENTFLOW_MAX_FUTURE_MINUTES * 60_000,
    maxAgeMs: config.EVENTFLOW_MAX_AGE_DAYS * 86_400_000,
    onKeyMistake: oncePerType((type) =>
      log.warn({ type }, 'the key function of a definition fails: events of this type are refused'),
    ),
  }
}

/** Starts to watch the whole pipeline and to publish this process' figures, until the service closes. */
function watchPipeline(
  app: FastifyInstance,
  { config, asking, redis, log, metrics, definitions }: AppDeps,
  reads: Reads,
  standby: Standby | undefined,
) {
  const feed = createRedisMonitor(redis, config.EVENTFLOW_STREAM_PREFIX)
  const lag = sparing(() => readLag(asking, feed), LAG_FRESH_MS)
  const stock = sparing(() => reads.own(readStock), STOCK_FRESH_MS)
  const capacityBytes = config.EVENTFLOW_POSTGRES_CAPACITY_BYTES
  const groups = sparing(() => reads.own(listGroupsInCode), LAG_FRESH_MS)
  const stateful = sparing(() => reads.own(readStateFigures), STOCK_FRESH_MS)
  // *Live* looks all the time, and only at how far event time has come.
  const eventTimes = sparing(() => reads.own((db) => readStateFigures(db, { max: 1 })), LAG_FRESH_MS)
  const shown = { lag, stock, groups, stateful, standby, metrics, capacityBytes }
  const refreshGauges = createPipelineGauges({ db: asking, feed, ...shown })
  const unordered = [...definitions.values()].filter(({ order }) => order === 'none').map(({ type }) => type)
  const attemptsOf = (type: string) => ({ ...DEFAULT_RETRY_POLICY, ...definitions.get(type)?.retry }).attempts
  const collected = { lag, stock, groups, stateful: eventTimes, unordered, attemptsOf }
  const collector = startCollector({ db: asking, reads, ...collected, log })
  const ownName = { process: `${hostname()}-${process.pid}`, service: 'ingest' } as const
  const telling = startTelling(asking, ownName, () => readIngestFigures(metrics))
  app.addHook('onClose', async () => {
    await Promise.all([collector.stop(), telling.stop()])
  })
  return { collector, lag, refreshGauges, unordered }
}

/** Calls `tell` once for each type. */
function oncePerType(tell: (type: string) => void): (type: string) => void {
  const told = new Set<string>()
  return (type) => {
    if (told.has(type)) return
    told.add(type)
    tell(type)
  }
}
