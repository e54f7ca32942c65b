/**
 * The spans of a batch. A traced event gets one `process` span for each attempt, as a child of the span that sent it;
 * `settle` is a child of `process`, and the handler's span a child of `settle`. Spans that cover the whole batch go
 * into a separate trace, which links to the traces of its events; if the batch has one event, they go into the trace of
 * that event. For an event that is not traced, the only cost is reading its traceparent.
 */
import { type AcceptedEvent, CONSUMER_GROUP, type Delivery, errorClassOf } from '@eventflow/core'
import { isSampled, type MessagingOperation, parseTraceparent, type Tracing } from '@eventflow/runtime'
import {
  type Attributes,
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { Settlement } from './settlement.js'

export interface BatchTrace {
  /** Calls an enricher inside a span; spans that it starts are children of that span. */
  enrich<Result>(enricher: string, ask: () => Result | Promise<Result>): Promise<Result>
  /** Starts the `settle` spans. Call it when the batch has been processed. */
  settle(): void
  /** Runs the handler of an event inside a span; spans that it starts are children of that span. */
  handle(event: AcceptedEvent, run: () => Promise<void>): Promise<void>
  /** Does the same for a handler that takes several events of one type. */
  handleBatch(events: readonly AcceptedEvent[], run: () => Promise<void>): Promise<void>
  /** Ends all spans and records the outcome of each event. `settlement` is undefined if the batch was given up. */
  end(settlement: Settlement | undefined): void
}

/** The trace of a batch without a traced event. */
const NO_TRACE: BatchTrace = {
  enrich: async (_enricher, ask) => ask(),
  settle() {},
  handle: (_event, run) => run(),
  handleBatch: (_events, run) => run(),
  end() {},
}

/** What a span describes: an event or a batch. */
interface Subject {
  tracer: Tracer
  parent: Context
  attributes: Attributes
  /** The traces of the events, if the subject is a batch. */
  links: { context: NonNullable<ReturnType<typeof parseTraceparent>> }[]
}

interface Traced extends Subject {
  process: Span
  settle?: Span
}

/**
 * Starts the spans of a batch. It starts none if tracing is off or if no event of the batch is traced. `reader`: the
 * consumer group that the batch is of, if it is not one of the pipeline.
 */
export function traceBatch(
  deliveries: readonly Delivery[],
  tracing: Tracing | undefined,
  reader: string = CONSUMER_GROUP,
): BatchTrace {
  if (!tracing) return NO_TRACE
  const ofReader = (subject: Subject): Subject => {
    return { ...subject, attributes: { ...subject.attributes, 'messaging.consumer.group.name': reader } }
  }
  const process = (given: Subject): Traced => {
    const subject = ofReader(given)
    return { ...subject, process: start('process', subject, tracing) }
  }
  const events = new Map<number, Traced>()
  for (const delivery of deliveries) {
    const subject = aboutEvent(delivery, tracing)
    if (subject) events.set(delivery.event.seq, process(subject))
  }
  const [first] = events.values()
  if (!first) return NO_TRACE
  const batch = deliveries.length === 1 ? first : process(aboutBatch(deliveries, tracing))
  if (batch !== first) {
    for (const event of events.values()) event.process.addLink({ context: batch.process.spanContext() })
  }
  const all = new Set([batch, ...events.values()])

  const step = (name: string, { process, settle = process }: Traced, links: Subject['links'] = []) =>
    tracing.tracer.startSpan(name, { kind: SpanKind.INTERNAL, links }, trace.setSpan(ROOT_CONTEXT, settle))

  return {
    enrich: (enricher, ask) => runIn(step(`enrich ${enricher}`, batch), ask),
    settle() {
      for (const traced of all) traced.settle = start('settle', traced, tracing, traced.process)
    },
    handle(event, run) {
      const traced = events.get(event.seq)
      return traced ? runIn(step(`handle ${event.type}`, traced), run) : run()
    },
    handleBatch(group, run) {
      const traced = group.flatMap(({ seq }) => events.get(seq) ?? [])
      if (traced.length === 0) return run()
      const links = batch === first ? [] : traced.map((event) => ({ context: event.process.spanContext() }))
      return runIn(step(`handle ${group[0]!.type}`, batch, links), run)
    },
    end(settlement) {
      for (const { process } of events.values()) process.setAttribute(OUTCOME, 'unsettled')
      if (settlement) recordOutcomes(events, settlement)
      for (const { process, settle } of all) {
        settle?.end()
        process.end()
      }
    },
  }
}

/**
 * Records a `receive` span for events that were read from the streams. `at` is in milliseconds since the epoch. The
 * span leaves out the wait for the events, which began before they were sent.
 */
export function traceReceived(deliveries: readonly Delivery[], at: number, tracing: Tracing | undefined): void {
  if (!tracing || !deliveries.some(({ event }) => isSampled(event.traceparent))) return
  const [only] = deliveries
  const subject = deliveries.length === 1 ? aboutEvent(only!, tracing) : aboutBatch(deliveries, tracing)
  if (subject) start('receive', subject, tracing, undefined, at).end()
}

const OUTCOME = 'eventflow.outcome'

/** Records the outcome of each event. Of an error, only the class is recorded: the message may quote the event. */
function recordOutcomes(events: ReadonlyMap<number, Traced>, settlement: Settlement): void {
  const spanOf = ({ event }: Delivery) => events.get(event.seq)?.process
  const fail = (span: Span | undefined, errorType: string) =>
    span?.setAttribute('error.type', errorType).setStatus({ code: SpanStatusCode.ERROR })

  for (const { delivery } of settlement.processed) spanOf(delivery)?.setAttribute(OUTCOME, 'processed')
  // Events blocked behind an earlier event of their key; the first events of the keys follow below.
  for (const { delivery } of settlement.blocked) spanOf(delivery)?.setAttribute(OUTCOME, 'held')
  for (const { kind, delivery, failure, delayMs } of [...settlement.retried, ...settlement.waiting]) {
    spanOf(delivery)
      ?.setAttribute(OUTCOME, kind)
      .addEvent(kind, {
        'eventflow.attempt': delivery.attempts + 1,
        'eventflow.component': failure.component,
        'error.type': failure.errorClass,
        'eventflow.delay_ms': Math.round(delayMs),
      })
  }
  for (const { delivery, failure } of settlement.failed) {
    const span = spanOf(delivery)?.setAttribute(OUTCOME, 'dead').setAttribute('eventflow.component', failure.component)
    fail(span, failure.errorClass)
  }
  for (const delivery of settlement.refused) fail(spanOf(delivery), 'refused')
}

/** Undefined if the event is not traced. */
function aboutEvent({ event, entryIds, attempts }: Delivery, { tracer }: Tracing): Subject | undefined {
  const sender = isSampled(event.traceparent) ? parseTraceparent(event.traceparent) : undefined
  if (!sender) return undefined
  const [entryId] = entryIds
  const attributes = {
    ...(entryId !== undefined && { 'messaging.message.id': entryId }),
    'messaging.message.conversation_id': event.correlationId,
    'messaging.destination.partition.id': String(event.partition),
    'cloudevents.event_id': event.id,
    'cloudevents.event_type': event.type,
    'eventflow.attempt': attempts + 1,
  }
  return { tracer, parent: trace.setSpanContext(ROOT_CONTEXT, sender), attributes, links: [] }
}

function aboutBatch(deliveries: readonly Delivery[], { batchTracer }: Tracing): Subject {
  const senders = deliveries.flatMap(({ event: { traceparent } }) =>
    isSampled(traceparent) ? (parseTraceparent(traceparent) ?? []) : [],
  )
  const attributes = { 'messaging.batch.message_count': deliveries.length }
  return {
    tracer: batchTracer,
    parent: ROOT_CONTEXT,
    attributes,
    links: senders.map((sender) => ({ context: sender })),
  }
}

/**
 * Starts a span that follows the semantic conventions for messaging, as a child of `parent` or, without one, of its
 * subject's parent.
 */
function start(operation: MessagingOperation, subject: Subject, tracing: Tracing, parent?: Span, at?: number): Span {
  const { name, attributes } = tracing.messaging(operation)
  const options = {
    kind: operation === 'process' ? SpanKind.CONSUMER : SpanKind.CLIENT,
    attributes: { ...attributes, 'messaging.consumer.group.name': CONSUMER_GROUP, ...subject.attributes },
    links: parent ? [] : subject.links,
    ...(at !== undefined && { startTime: at }),
  }
  return subject.tracer.startSpan(name, options, parent ? trace.setSpan(ROOT_CONTEXT, parent) : subject.parent)
}

async function runIn<Result>(span: Span, run: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await context.with(trace.setSpan(ROOT_CONTEXT, span), run)
  } catch (error) {
    span.setAttribute('error.type', errorClassOf(error)).setStatus({ code: SpanStatusCode.ERROR })
    throw error
  } finally {
    span.end()
  }
}
