/** Routes that accept events, singly and in batches, and return an event with its history. */
import { type DbOf, findEvent, type NewEvent } from '@eventflow/db'
import type { Acceptor, Outcome, Receipt } from '@eventflow/intake'
import { type IngestMetrics, type Tracing, traceparentOf } from '@eventflow/runtime'
import type { Span } from '@opentelemetry/api'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { describeEvent } from '../answers/describe-event.js'
import { type Admission, type AdmissionContext, admit, type Invalid, type Taken } from '../door/admit.js'
import type { DataCheck } from '../door/check-data.js'
import type { Quotas } from '../door/quotas.js'
import { inBrief } from '../http/brief.js'
import { batchItemOf, eventOf } from '../http/cloud-event.js'
import { describeAbsence, findEventId } from '../http/event-name.js'
import { inSlices } from '../http/in-slices.js'
import { problemBody, RequestError } from '../http/problem.js'
import { asItIs } from '../http/reply.js'
import { correlationIdHeader, idempotencyKeyOf, traceparentHeader } from '../http/request.js'
import { sent, startSend } from '../http/trace.js'
import { millisecondsOf } from '../http/wait.js'
import type { SettledWatch } from '../live/settled.js'
import { batchSchema, checkedByAdmit, singleSchema, statusSchema } from './event-schemas.js'

export interface EventRoutesDeps {
  dbOf: DbOf
  acceptor: Acceptor
  admission: Admission
  dataCheck: DataCheck
  settled: SettledWatch
  quotas: Quotas
  metrics: IngestMetrics
  tracing: Tracing | undefined
  /** The most events in one batch. */
  batchLimit: number
  /** Where the trace of an event can be viewed; empty if not configured. */
  traceUrl: string
  /** A working example for each event type. */
  examples: readonly object[]
}

/** Declares the routes for single events and batches. */
export function eventRoutes(app: FastifyInstance, deps: EventRoutesDeps): void {
  singleRoute(app, deps)
  batchRoute(app, deps)
  statusRoute(app, deps)
}

function singleRoute(app: FastifyInstance, deps: EventRoutesDeps): void {
  const { acceptor, admission, dataCheck, quotas, metrics, tracing, examples } = deps
  app.post(
    '/v1/events',
    {
      schema: singleSchema(examples),
      validatorCompiler: checkedByAdmit,
      config: {
        problems: ['invalid-event', 'event-conflict', 'data-invalid', 'idempotency-key-reused', 'quota-exceeded'],
      },
    },
    async (request, reply) => {
      const observe = metrics.ingestDuration.startTimer()
      quotas.tell(request, reply, 0)
      const send = startSend(request, tracing)
      const { given, form } = eventOf(request)
      const [admitted] = await dataCheck(request.access.tenantId, [
        admit(given, form, contextOf(request, reply, send), admission),
      ])
      if ('problems' in admitted!) {
        countEvent(metrics, reply, given, 'invalid')
        throw invalid(admitted)
      }
      const { event, bytes } = admitted!
      if (HEADER_TEXT.test(event.correlationId)) reply.header('x-correlation-id', event.correlationId)
      const [receipt] = await sent(send, [event], acceptor.accept([event], bytes))
      const { outcome } = receipt!
      countEvent(metrics, reply, given, outcome, event)
      observe()
      if (outcome === 'conflict') throw conflict(admitted!, receipt!)
      if (outcome === UNSTORABLE) throw unstorable()
      reply.code(202).header('location', `/v1/events/${event.id}`)
      return { id: event.id, status: 'accepted', duplicate: outcome === 'duplicate' }
    },
  )
}

function batchRoute(app: FastifyInstance, deps: EventRoutesDeps): void {
  const { acceptor, admission, dataCheck, quotas, metrics, tracing, batchLimit, examples } = deps
  app.post(
    '/v1/events/batch',
    { schema: batchSchema(examples), validatorCompiler: checkedByAdmit, config: { problems: ['quota-exceeded'] } },
    async (request, reply) => {
      const observe = metrics.ingestDuration.startTimer()
      const lines = request.body
      quotas.tell(request, reply, Array.isArray(lines) ? Math.max(1, lines.length) : 1)
      if (!Array.isArray(lines))
        throw new RequestError('malformed-body', 'The body must be a JSON array of events, or NDJSON')
      if (lines.length > batchLimit) {
        throw new RequestError('body-too-large', `The limit of a batch is ${batchLimit} events`)
      }
      const send = startSend(request, tracing)
      const context = contextOf(request, reply, send)
      const { tenantId } = context
      const wellFormed = await inSlices(tenantId, lines, (line, index) => {
        const { given, form } = batchItemOf(request, line)
        return admit(given, form, inBatch(context, index), admission)
      })
      const admitted = await dataCheck(tenantId, wellFormed)
      const taken = admitted.filter((item) => 'event' in item)
      const events = taken.map(({ event }) => event)
      const bytes = taken.reduce((sum, { bytes }) => sum + bytes, 0)
      const receipts = events.length > 0 ? await sent(send, events, acceptor.accept(events, bytes)) : []
      let next = 0
      const items = admitted.map((item, index) => {
        if ('problems' in item) {
          countEvent(metrics, reply, lines[index], 'invalid')
          return rejected(index, invalid(item))
        }
        const receipt = receipts[next++]!
        countEvent(metrics, reply, item.event, receipt.outcome, item.event)
        return itemOf(index, item, receipt)
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
}

function statusRoute(app: FastifyInstance, { dbOf, settled, traceUrl }: EventRoutesDeps): void {
  app.get<{ Params: { id: string }; Querystring: { wait?: string; source?: string } }>(
    '/v1/events/:id',
    { schema: statusSchema, serializerCompiler: asItIs, config: { problems: ['event-not-found'] } },
    async (request, reply) => {
      const { wait, source } = request.query
      const { tenantId } = request.access
      const named = { tenantId, id: request.params.id, source }
      const db = dbOf(tenantId)
      const id = await findEventId(db, named)
      let row = id && (await findEvent(db, tenantId, id))
      if (id && row && wait !== undefined && isOnItsWay(row.status)) {
        const left = new Promise<void>((resolve) => reply.raw.once('close', resolve))
        await settled.untilSettled(tenantId, id, millisecondsOf(wait), left)
        await app.stillAllowed(request)
        row = await findEvent(db, tenantId, id)
      }
      if (!row) throw new RequestError('event-not-found', describeAbsence(named, 'was accepted'))
      return describeEvent(row, traceUrl)
    },
  )
}

/** Counts an event, and logs a refused one: by its id if it has one, without anything else that was sent. */
function countEvent(
  metrics: IngestMetrics,
  reply: FastifyReply,
  sent: unknown,
  outcome: Outcome | 'invalid',
  event?: NewEvent,
): void {
  const type = metrics.typeOf((sent as { type?: unknown } | null)?.type)
  metrics.eventsReceived.inc({ type, outcome })
  if (outcome === 'accepted' || outcome === 'duplicate') return
  const correlation_id = event?.correlationId ?? reply.getHeader('x-correlation-id')
  const about = { tenant_id: reply.request.access.tenantId, ...aboutEvent(event) }
  reply.log.info({ ...about, correlation_id, event_type: type, outcome }, 'event not accepted')
}

/** A correlation id may be any text; a header may have only these characters. */
const HEADER_TEXT = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/

/** The outcome of an event that Postgres cannot store. */
const UNSTORABLE = 'refused' satisfies Outcome

const unstorable = () => new RequestError('invalid-event', 'The event contains a value that cannot be stored')

function conflict({ event, keyed }: Taken, { otherSource }: Receipt): RequestError {
  if (keyed) {
    return new RequestError(
      'idempotency-key-reused',
      'Another event was sent with this Idempotency-Key; nothing was stored',
    )
  }
  const what = otherSource === undefined ? 'other content' : `the source ${otherSource}`
  const id = event.externalId ?? event.id
  return new RequestError(
    'event-conflict',
    `An event with the id ${id} and ${what} was accepted before; nothing was stored`,
  )
}

function invalid({ problems, tooLarge, misfit }: Invalid): RequestError {
  const detail = inBrief(problems)
    .map(({ pointer, message }) => `${pointer || 'the event'} ${message}`)
    .join('; ')
  const code = tooLarge ? 'body-too-large' : misfit ? 'data-invalid' : 'invalid-event'
  return new RequestError(code, detail, problems)
}

function itemOf(index: number, taken: Taken, receipt: Receipt) {
  const { event } = taken
  if (receipt.outcome === 'conflict') return rejected(index, conflict(taken, receipt), event.id)
  if (receipt.outcome === UNSTORABLE) return rejected(index, unstorable(), event.id)
  return { index, id: event.id, status: receipt.outcome }
}

function rejected(index: number, { code, message, problems }: RequestError, id: string | null = null) {
  return { index, id, status: 'rejected', error: problemBody(code, message, problems), retryable: false }
}

/**
 * The attributes that a request gives its events; its correlation id is echoed. An event without one gets its own id.
 */
function contextOf(request: FastifyRequest, reply: FastifyReply, send: Span | undefined): AdmissionContext {
  const correlationId = correlationIdHeader(request)
  if (correlationId) reply.header('x-correlation-id', correlationId)
  const traceparent = send ? traceparentOf(send.spanContext()) : traceparentHeader(request)
  const { tenantId } = request.access
  return { tenantId, correlationId, traceparent, idempotencyKey: idempotencyKeyOf(request) }
}

/** One key covers a whole batch; its events are distinguished by their index. A key contains no NUL. */
function inBatch(context: AdmissionContext, index: number): AdmissionContext {
  const { idempotencyKey } = context
  return idempotencyKey === undefined ? context : { ...context, idempotencyKey: `${idempotencyKey}\0${index}` }
}

function aboutEvent(event: NewEvent | undefined) {
  return {
    event_id: event?.id,
    trace_id: event?.traceparent?.slice(3, 35),
  }
}

const isOnItsWay = (status: string) => status === 'accepted' || status === 'retrying'
