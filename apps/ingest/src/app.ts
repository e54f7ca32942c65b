/** The HTTP service, without a port: everything but listening. */

import { randomFillSync } from 'node:crypto'
import { hostname } from 'node:os'
import { createUuidV7, DEFAULT_RETRY_POLICY } from '@eventflow/core'
import { type Db, readEntrySecret, readFormerIdsUntil, shareOut, sqlErrorKind } from '@eventflow/db'
import { createAcceptor } from '@eventflow/intake'
import { readLag, readStock, sparing, startTelling } from '@eventflow/monitor'
import { createPublisher, createSeal, type Redis } from '@eventflow/redis'
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
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { lock, needsNoKey } from './door/auth.js'
import { createDataCheck } from './door/check-data.js'
import { createKeyring } from './door/keyring.js'
import { boundRequests, createQuotas } from './door/quotas.js'
import { describeAnswers } from './http/answer-headers.js'
import { readBodies } from './http/bodies.js'
import { boundConnections } from './http/connections.js'
import { serveConsole } from './http/console.js'
import { shareWithOrigins } from './http/cors.js'
import { documentRoutes } from './http/docs.js'
import { answerOtherMethods } from './http/methods.js'
import { createPaging } from './http/paging.js'
import { answerFrameworkErrors, answerProblems, type OnProblem } from './http/problem.js'
import { keepProtocol } from './http/protocol.js'
import { traceRequests } from './http/trace.js'
import { boundUnread } from './http/unread.js'
import { answerUnreadable, MAX_HEADER_BYTES } from './http/unreadable.js'
import { startCollector } from './live/collector.js'
import { createPipelineGauges } from './live/pipeline-gauges.js'
import { createSettledWatch } from './live/settled.js'
import { createOperations } from './operations/operations.js'
import { auditRoutes } from './routes/audit-log.js'
import { deadLetterRoutes } from './routes/dead-letters.js'
import { eventTypeRoutes } from './routes/event-types.js'
import { eventRoutes } from './routes/events.js'
import { healthRoutes } from './routes/health.js'
import { keyRoutes } from './routes/keys.js'
import { liveRoutes } from './routes/live.js'
import { operationRoutes } from './routes/operations.js'
import { schemaRoutes } from './routes/schemas.js'
import { searchRoutes } from './routes/search.js'
import { waitingRoutes } from './routes/waiting.js'

/** How old what is shown of the pipeline may be, in milliseconds; older still where reading it takes long. */
const LAG_FRESH_MS = 1_000
const STOCK_FRESH_MS = 10_000

/**
 * The connections that are not for accepting events, by tenant: what one asks for leaves room for the others and, since there
 * are more connections than turns, for what the service reads for itself.
 */
const ASKING_TURNS = { atOnce: 6, atOnceEach: 3, waitingEach: 500 }

export interface AppDeps {
  config: IngestConfig
  /** For accepting events, and for what that waits for. */
  db: Db
  /** For all else. */
  asking: Db
  redis: Redis
  log: Logger
  metrics: IngestMetrics
  /** Nothing where traces are off. */
  tracing?: Tracing | undefined
  definitions: ReadonlyMap<string, EventDefinition>
  /** How many partitions the database has. */
  partitions: number
}

/** Builds the service. `close()` of what it gives answers the requests in flight and takes no more. */
export async function buildApp({
  config,
  db,
  asking,
  redis,
  log,
  metrics,
  tracing,
  definitions,
  partitions,
}: AppDeps): Promise<FastifyInstance> {
  const onProblem: OnProblem = (code) => metrics.requestsRefused.inc({ code })
  const app: FastifyInstance = fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new fastify.LogController({ disableRequestLogging: true }),
    requestTimeout: config.EVENTFLOW_REQUEST_TIMEOUT_MS,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      // Node takes the shorter of the two for the headers, whichever it is: left at its default, that would be the other.
      headersTimeout: config.EVENTFLOW_REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
      // `keepProtocol` asks for it, and says what is missing.
      requireHostHeader: false,
    },
    clientErrorHandler: answerUnreadable(onProblem),
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    // An event id has up to 200 characters, each one or two code units; the route's schema counts characters.
    routerOptions: { maxParamLength: 400 },
    frameworkErrors: answerFrameworkErrors(onProblem),
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
  })
  const isOpen = boundConnections(app, {
    max: config.EVENTFLOW_MAX_CONNECTIONS,
    maxPerAddress: config.EVENTFLOW_MAX_CONNECTIONS_PER_ADDRESS,
    onClosed: () => metrics.connectionsRefused.inc(),
  })

  if (tracing) traceRequests(app, tracing)
  answerProblems(app, onProblem)
  answerOtherMethods(app)
  describeAnswers(app)
  boundUnread(app, {
    timeoutMs: config.EVENTFLOW_REQUEST_TIMEOUT_MS,
    totalLimit: config.EVENTFLOW_MAX_IN_FLIGHT_BYTES,
  })
  shareWithOrigins(app, config.EVENTFLOW_CORS_ORIGINS)
  keepProtocol(app, onProblem)
  lock(app, { keyring: createKeyring({ db, log }), keyless: needsNoKey(config) })
  const prefix = config.EVENTFLOW_STREAM_PREFIX
  const quotas = createQuotas({ redis, prefix, log })
  boundRequests(app, quotas)
  readBodies(app, quotas, {
    bodyLimit: config.EVENTFLOW_BODY_LIMIT_BYTES,
    eventLimit: config.EVENTFLOW_EVENT_LIMIT_BYTES,
    totalLimit: config.EVENTFLOW_MAX_IN_FLIGHT_BYTES,
    leastRate: config.EVENTFLOW_MIN_BODY_BYTES_PER_SECOND,
    batchLimit: config.EVENTFLOW_BATCH_LIMIT,
  })
  await documentRoutes(app)

  const isAway = (error: unknown) => sqlErrorKind(error) === 'infrastructure'
  const entrySecret = await untilDone(
    'reading the secret of the stream entries',
    log,
    () => readEntrySecret(db),
    isAway,
  )
  const publisher = createPublisher(redis, prefix, createSeal(entrySecret), config.EVENTFLOW_MAX_STREAM_LENGTH)
  const acceptor = createAcceptor({
    db,
    publisher,
    log,
    metrics,
    maxInFlight: config.EVENTFLOW_MAX_IN_FLIGHT,
    maxInFlightSize: config.EVENTFLOW_MAX_IN_FLIGHT_BYTES,
    formerIdsUntil: await untilDone('reading the age of former ids', log, () => readFormerIdsUntil(db), isAway),
  })
  const follow = () => followSchemas(db, (err) => log.warn({ err }, 'reading new schemas failed'))
  const schemas = await untilDone('reading the schemas', log, follow, isAway)
  app.addHook('onClose', () => schemas.stop())
  const newId = createUuidV7(Date.now, (buffer) => randomFillSync(buffer))
  const dbOf = shareOut(asking, ASKING_TURNS)
  eventRoutes(app, {
    dbOf,
    acceptor,
    admission: {
      definitions,
      partitions,
      newId,
      now: Date.now,
      eventLimitBytes: config.EVENTFLOW_EVENT_LIMIT_BYTES,
      maxFutureMs: config.EVENTFLOW_MAX_FUTURE_MINUTES * 60_000,
      maxAgeMs: config.EVENTFLOW_MAX_AGE_DAYS * 86_400_000,
      onKeyMistake: oncePerType((type) =>
        log.warn({ type }, 'the key function of a definition fails: events of this type are refused'),
      ),
    },
    dataCheck: createDataCheck(definitions.values(), schemas),
    settled: createSettledWatch(asking),
    quotas,
    metrics,
    tracing,
    batchLimit: config.EVENTFLOW_BATCH_LIMIT,
    traceUrl: config.EVENTFLOW_TRACE_URL,
    examples: [...definitions.values()].flatMap(({ type, example }) => (example ? [{ type, data: example }] : [])),
  })
  const operations = createOperations({ db: asking, dbOf, log })
  app.addHook('onClose', () => operations.stop())
  const readPage = createPaging(entrySecret)
  deadLetterRoutes(app, { dbOf, readPage })
  operationRoutes(app, { dbOf, operations, definitions })
  searchRoutes(app, { dbOf, readPage, partitions })
  eventTypeRoutes(app, { definitions })
  auditRoutes(app, { dbOf, readPage })
  keyRoutes(app, { dbOf })
  schemaRoutes(app, { dbOf })

  const lag = sparing(() => readLag(asking, redis, prefix), LAG_FRESH_MS)
  const stock = sparing(() => readStock(asking), STOCK_FRESH_MS)
  const capacityBytes = config.EVENTFLOW_POSTGRES_CAPACITY_BYTES
  const refreshGauges = createPipelineGauges({ db: asking, redis, lag, stock, metrics, capacityBytes })
  const unordered = [...definitions.values()].filter(({ order }) => order === 'none').map(({ type }) => type)
  const attemptsOf = (type: string) => ({ ...DEFAULT_RETRY_POLICY, ...definitions.get(type)?.retry }).attempts
  const collector = startCollector({ db: asking, lag, stock, unordered, attemptsOf })
  const ownName = { process: `${hostname()}-${process.pid}`, service: 'ingest' } as const
  const telling = startTelling(asking, ownName, () => readIngestFigures(metrics))
  app.addHook('onClose', async () => {
    await Promise.all([collector.stop(), telling.stop()])
  })
  liveRoutes(app, { collector })
  waitingRoutes(app, { dbOf, unordered })
  await serveConsole(app, log)
  healthRoutes(app, { accepting: db, asking, dbOf, redis, metrics, lag, refreshGauges, isOpen })
  return app
}

/** Tells of each type once. */
function oncePerType(tell: (type: string) => void): (type: string) => void {
  const told = new Set<string>()
  return (type) => {
    if (told.has(type)) return
    told.add(type)
    tell(type)
  }
}
