/** Events in, singly and in batches, and one event's story out. */
import type { Problem } from '@eventflow/core'
import { type Db, findEvent, type NewEvent } from '@eventflow/db'
import { type IngestMetrics, type Tracing, traceparentOf } from '@eventflow/runtime'
import type { Span } from '@opentelemetry/api'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Acceptor, Receipt } from '../accept.js'
import {
  type Admission,
  type AdmissionContext,
  admit,
  DEFAULT_SOURCE,
  eventIdOf,
  IncomingEventSchema,
} from '../admit.js'
import { describeEvent } from '../describe-event.js'
import { ProblemSchema, problemBody, RequestError } from '../problem.js'
import { TENANT, TRACEPARENT, textHeader } from '../request.js'
import type { SettledWatch } from '../settled.js'
import { sent, startSend } from '../trace.js'

export interface EventRoutesDeps {
  db: Db
  acceptor: Acceptor
  admission: Admission
  settled: SettledWatch
  metrics: IngestMetrics
  tracing: Tracing | undefined
  /** Most events in one batch request. */
  batchLimit: number
  /** An example that works when pasted, by event type. */
  examples: readonly object[]
}

export function eventRoutes(app: FastifyInstance, deps: EventRoutesDeps): void {
  const { db, acceptor, admission, settled, metrics, tracing, batchLimit, examples } = deps
  /** Counts an event, and logs one that is not taken: by its id where it has one, never by what else was sent. */
  const tell = ({ log }: FastifyRequest, sent: unknown, outcome: Receipt | 'invalid', event?: NewEvent) => {
    const type = metrics.typeOf((sent as { type?: unknown } | null)?.type)
    metrics.eventsReceived.inc({ type, outcome })
    if (outcome === 'accepted' || outcome === 'duplicate') return
    log.info({ ...aboutEvent(event), event_type: type, outcome }, 'event not taken')
  }
  app.post(
    '/v1/events',
    { schema: singleSchema(examples), validatorCompiler: checkedByAdmit },
    async (request, reply) => {
      const observe = metrics.ingestDuration.startTimer()
      const send = startSend(request, tracing)
      const admitted = admit(request.body, contextOf(request, reply, send), admission)
      if ('problems' in admitted) {
        tell(request, request.body, 'invalid')
        throw refusal(admitted)
      }
      const { event } = admitted
      reply.header('x-correlation-id', event.correlationId)
      const [receipt] = await sent(send, [event], acceptor.accept([event]))
      tell(request, request.body, receipt!, event)
      observe()
      if (receipt === 'conflict') throw new RequestError('event-conflict', conflictDetail(event.id))
      if (receipt === 'refused') throw new RequestError('invalid-event', REFUSED_DETAIL)
      reply.code(202).header('location', `/v1/events/${event.id}`)
      return { id: event.id, status: 'accepted', duplicate: receipt === 'duplicate' }
    },
  )

  app.post(
    '/v1/events/batch',
    { schema: batchSchema(examples), validatorCompiler: checkedByAdmit },
    async (request, reply) => {
      const observe = metrics.ingestDuration.startTimer()
      const lines = request.body
      if (!Array.isArray(lines))
        throw new RequestError('malformed-body', 'The body must be a JSON array of events, or NDJSON')
      if (lines.length > batchLimit) {
        throw new RequestError(
          'body-too-large',
          `A batch holds ${batchLimit} events at the most; this one has ${lines.length}`,
        )
      }
      const send = startSend(request, tracing)
      const context = contextOf(request, reply, send)
      const admitted = lines.map((line) => admit(line, context, admission))
      const events = admitted.flatMap((item) => ('event' in item ? [item.event] : []))
      const receipts = events.length > 0 ? await sent(send, events, acceptor.accept(events)) : []
      let next = 0
      const items = admitted.map((item, index) => {
        if ('problems' in item) {
          tell(request, lines[index], 'invalid')
          return rejected(index, refusal(item))
        }
        const receipt = receipts[next++]!
        tell(request, item.event, receipt, item.event)
        return itemOf(index, item.event, receipt)
      })
      observe()
      const withStatus = (status: string) => items.filter((item) => item.status === status).length
      return {
        accepted: withStatus('accepted'),
        duplicate: withStatus('duplicate'),
        rejected: withStatus('rejected'),
        items,
      }
    },
  )

  app.get<{ Params: { id: string }; Querystring: { wait?: string; source?: string } }>(
    '/v1/events/:id',
    { schema: statusSchema },
    async (request) => {
      const { wait, source } = request.query
      const id = eventIdOf(TENANT, source ?? DEFAULT_SOURCE, request.params.id)
      let row = await findEvent(db, TENANT, id)
      if (row && wait !== undefined && isOnItsWay(row.status)) {
        await settled.untilSettled(TENANT, id, millisecondsOf(wait))
        row = await findEvent(db, TENANT, id)
      }
      if (!row) throw new RequestError('event-not-found', `No event with the id ${request.params.id} was accepted`)
      return describeEvent(row)
    },
  )
}

const REFUSED_DETAIL = 'The event holds a value that cannot be stored'

const conflictDetail = (id: string) =>
  `An event with the id ${id} and other content was accepted before; nothing was stored`

function refusal({ problems, tooLarge }: { problems: Problem[]; tooLarge?: true }): RequestError {
  const detail = problems.map(({ pointer, message }) => `${pointer || 'the event'} ${message}`).join('; ')
  return new RequestError(tooLarge ? 'body-too-large' : 'invalid-event', detail, problems)
}

function itemOf(index: number, event: NewEvent, receipt: Receipt) {
  if (receipt === 'conflict')
    return rejected(index, new RequestError('event-conflict', conflictDetail(event.id)), event.id)
  if (receipt === 'refused') return rejected(index, new RequestError('invalid-event', REFUSED_DETAIL), event.id)
  return { index, id: event.id, status: receipt }
}

function rejected(index: number, { code, message, problems }: RequestError, id: string | null = null) {
  return { index, id, status: 'rejected', error: problemBody(code, message, problems), retryable: false }
}

/** What the request says of all its events; its correlation id is echoed. An event that has none is its own. */
function contextOf(request: FastifyRequest, reply: FastifyReply, send: Span | undefined): AdmissionContext {
  const correlationId = textHeader(request, 'x-correlation-id', /^[\x21-\x7e]{1,200}$/)
  if (correlationId) reply.header('x-correlation-id', correlationId)
  const traceparent = send ? traceparentOf(send.spanContext()) : textHeader(request, 'traceparent', TRACEPARENT)
  return { tenantId: TENANT, correlationId, traceparent }
}

function aboutEvent(event: NewEvent | undefined) {
  return {
    tenant_id: event?.tenantId ?? TENANT,
    event_id: event?.id,
    correlation_id: event?.correlationId,
    trace_id: event?.traceparent?.slice(3, 35),
  }
}

const isOnItsWay = (status: string) => status === 'accepted' || status === 'retrying'

/** The longest a request may wait for its event, in milliseconds. */
const MAX_WAIT_MS = 60_000

function millisecondsOf(wait: string): number {
  const [, amount, unit] = /^(\d{1,6})(ms|s)$/.exec(wait)!
  return Math.min(Number(amount) * (unit === 's' ? 1_000 : 1), MAX_WAIT_MS)
}

/** The events are checked by `admit`, one check for single events and batches; a body's schema is its documentation. */
const checkedByAdmit = () => () => true

const singleSchema = (examples: readonly object[]) => ({
  summary: 'Send one event',
  description: '202 means that the event is durable: it is committed in Postgres and will reach exactly one end.',
  tags: ['events'],
  body: { ...IncomingEventSchema, examples },
  response: {
    202: Type.Object({
      id: Type.String({ format: 'uuid' }),
      status: Type.Literal('accepted'),
      duplicate: Type.Boolean(),
    }),
    '4xx': ProblemSchema,
    503: ProblemSchema,
  },
})

const batchSchema = (examples: readonly object[]) => ({
  summary: 'Send many events',
  description:
    'A JSON array, or one event a line as application/x-ndjson. Each is answered by itself: one that is wrong does not spoil the others.',
  tags: ['events'],
  body: {
    content: {
      'application/json': { schema: { type: 'array', items: IncomingEventSchema, examples: [examples] } },
      'application/x-ndjson': {
        schema: { type: 'string', examples: [examples.map((e) => JSON.stringify(e)).join('\n')] },
      },
    },
  },
  response: {
    200: Type.Object({
      accepted: Type.Integer(),
      duplicate: Type.Integer(),
      rejected: Type.Integer(),
      items: Type.Array(
        Type.Object({
          index: Type.Integer(),
          id: Type.Union([Type.String(), Type.Null()]),
          status: Type.Union([Type.Literal('accepted'), Type.Literal('duplicate'), Type.Literal('rejected')]),
          error: Type.Optional(ProblemSchema),
          retryable: Type.Optional(Type.Boolean()),
        }),
      ),
    }),
    '4xx': ProblemSchema,
    503: ProblemSchema,
  },
})

const statusSchema = {
  summary: 'What became of an event',
  description:
    'Readable the moment its 202 is out. With `wait` the answer comes when the event is settled, or after that time.',
  tags: ['events'],
  params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 200 }) }),
  querystring: Type.Object(
    {
      wait: Type.Optional(Type.String({ pattern: '^\\d{1,6}(ms|s)$', examples: ['10s'] })),
      source: Type.Optional(Type.String({ description: 'The source of the event, where its id is no UUID' })),
    },
    { additionalProperties: false },
  ),
}
