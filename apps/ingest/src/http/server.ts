/** The HTTP server without routes: its limits, and what applies to all requests and answers. */
import type { IngestConfig, IngestMetrics, Logger, Tracing } from '@eventflow/runtime'
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { describeAnswers } from './answer-headers.js'
import { boundConnections } from './connections.js'
import { shareWithOrigins } from './cors.js'
import { buildSerializer } from './lazily.js'
import { answerOtherMethods } from './methods.js'
import { answerFrameworkErrors, answerProblems, type OnProblem } from './problem.js'
import { keepProtocol } from './protocol.js'
import { traceRequests } from './trace.js'
import { boundUnread } from './unread.js'
import { answerUnreadable, MAX_HEADER_BYTES } from './unreadable.js'

export interface ServerDeps {
  config: IngestConfig
  log: Logger
  metrics: IngestMetrics
  /** Undefined if tracing is off. */
  tracing?: Tracing | undefined
}

/** Creates the server. `isOpen` returns false once it begins to close. */
export function createServer({ config, log, metrics, tracing }: ServerDeps): {
  app: FastifyInstance
  isOpen: () => boolean
} {
  const onProblem: OnProblem = (code) => metrics.requestsRefused.inc({ code })
  const app = createFastify(config, log, onProblem)
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
  return { app, isOpen }
}

function createFastify(config: IngestConfig, log: Logger, onProblem: OnProblem): FastifyInstance {
  return fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new fastify.LogController({ disableRequestLogging: true }),
    requestTimeout: config.EVENTFLOW_REQUEST_TIMEOUT_MS,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      // Node uses the shorter of the two timeouts for the headers; the default of the other one could be shorter.
      headersTimeout: config.EVENTFLOW_REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
      // `keepProtocol` checks it, with a better message.
      requireHostHeader: false,
    },
    clientErrorHandler: answerUnreadable(onProblem),
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    // An event id has up to 200 characters, each one or two code units; the route's schema counts characters.
    routerOptions: { maxParamLength: 400 },
    frameworkErrors: answerFrameworkErrors(onProblem),
    schemaController: { compilersFactory: { buildSerializer } },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
  })
}
