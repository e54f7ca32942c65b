/** The spans of a request: one for the request and, within it, `send` for its events. */

import type { NewEvent } from '@eventflow/db'
import { NotAcceptedError, type Receipt } from '@eventflow/intake'
import { isSampled, parseTraceparent, type Tracing } from '@eventflow/runtime'
import { ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { traceparentHeader } from './request.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set only on traced requests. */
    span?: Span
  }
}

/** Starts a span for each request to `/v1`, in the trace of its `traceparent` or in a new one. */
export function traceRequests(app: FastifyInstance, { tracer }: Tracing): void {
  app.decorateRequest('span')
  app.addHook('onRequest', (request, _, done) => {
    const { url: route } = request.routeOptions
    if (route?.startsWith('/v1/')) {
      const attributes = {
        'http.request.method': request.method,
        'http.route': route,
        'url.path': request.url.split('?')[0]!,
        'url.scheme': request.protocol,
      }
      const caller = parseTraceparent(traceparentHeader(request))
      const parent = caller ? trace.setSpanContext(ROOT_CONTEXT, caller) : ROOT_CONTEXT
      const span = tracer.startSpan(`${request.method} ${route}`, { kind: SpanKind.SERVER, attributes }, parent)
      if (span.isRecording()) request.span = span
    }
    done()
  })
  app.addHook('onResponse', ({ span }, { statusCode }, done) => {
    span?.setAttribute('http.response.status_code', statusCode)
    if (statusCode >= 500) fail(span, String(statusCode))
    span?.end()
    done()
  })
}

/**
 * Starts the `send` span of a request. Its events continue the trace below this span, unless they have a traceparent.
 */
export function startSend({ span }: FastifyRequest, tracing: Tracing | undefined): Span | undefined {
  if (!span || !tracing) return undefined
  const { name, attributes } = tracing.messaging('send')
  return tracing.tracer.startSpan(name, { kind: SpanKind.PRODUCER, attributes }, trace.setSpan(ROOT_CONTEXT, span))
}

/** Adds the sent events to the span, and ends it once they are accepted or refused. */
export function sent(span: Span | undefined, events: readonly NewEvent[], receipts: Promise<Receipt[]>) {
  if (!span) return receipts
  const [first] = events
  if (events.length === 1 && first) {
    span.setAttributes({
      'cloudevents.event_id': first.id,
      'cloudevents.event_type': first.type,
      'messaging.message.conversation_id': first.correlationId,
      'messaging.destination.partition.id': String(first.partition),
    })
  } else {
    span.setAttribute('messaging.batch.message_count', events.length)
  }
  span.addLinks(linksFrom(span, events))
  return receipts
    .catch((error) => {
      fail(span, error instanceof NotAcceptedError ? error.code : 'internal-error')
      throw error
    })
    .finally(() => span.end())
}

/** Links to the traces of events with their own traceparent. */
function linksFrom(span: Span, events: readonly NewEvent[]) {
  const { spanId } = span.spanContext()
  return events.flatMap(({ traceparent }) => {
    const context = isSampled(traceparent) ? parseTraceparent(traceparent) : undefined
    return context && context.spanId !== spanId ? [{ context }] : []
  })
}

function fail(span: Span | undefined, errorType: string): void {
  span?.setAttribute('error.type', errorType).setStatus({ code: SpanStatusCode.ERROR })
}
