/**
 * The only module that uses OpenTelemetry's SDK. The SDK reads everything not set here from its standard environment
 * variables.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Attributes, context, propagation, type Tracer, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { AlwaysOnSampler, BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { Logger } from './log.js'

/** How long a shutdown waits for the last spans to be sent, in milliseconds: a timely shutdown matters more. */
const LAST_EXPORT_MS = 3_000

/** The minimum interval of log lines about an unreachable collector, in milliseconds. */
const COMPLAIN_EVERY_MS = 60_000

interface Options {
  /** Attributes of this process in its spans; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override them. */
  resource: Attributes
  protocol: string
  /** Keeps the current span across awaits. That costs a little with every promise, traced or not. */
  keepContext: boolean
  log: Logger
}

/** The tracers of a process, and how to stop them. */
export interface Tracers {
  /** For spans within one trace; the sampler decides about root spans. */
  tracer: Tracer
  /**
   * For the spans of a batch, which are roots of separate traces: always sampled, because they are only made if an event
   * of the batch is traced.
   */
  batchTracer: Tracer
  /** Sends the remaining spans, for a few seconds at most. */
  stop(): Promise<void>
}

/** Finished spans wait in a bounded queue, and are dropped beyond it, so no code ever waits for a collector. */
export async function startOpenTelemetry(options: Options): Promise<Tracers> {
  const { protocol, keepContext, log } = options
  const complain = complainRarely(log)
  setGlobalErrorHandler(complain)
  const { OTLPTraceExporter } = await (protocol === 'http/json'
    ? import('@opentelemetry/exporter-trace-otlp-http')
    : import('@opentelemetry/exporter-trace-otlp-proto'))
  const spanProcessors = [new BatchSpanProcessor(new OTLPTraceExporter())]
  const resource = defaultResource()
    .merge(resourceFromAttributes(options.resource))
    .merge(detectResources({ detectors: [envDetector] }))
  const provider = new BasicTracerProvider({ resource, spanProcessors })
  const batchProvider = new BasicTracerProvider({ resource, spanProcessors, sampler: new AlwaysOnSampler() })
  trace.setGlobalTracerProvider(provider)
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  if (keepContext) context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  return {
    tracer: provider.getTracer('eventflow'),
    batchTracer: batchProvider.getTracer('eventflow'),
    async stop() {
      const sent = provider.shutdown().catch(complain)
      await Promise.race([sent, delay(LAST_EXPORT_MS, undefined, { ref: false })])
    },
  }
}

function complainRarely(log: Logger): (error: unknown) => void {
  let complainedAt = Number.NEGATIVE_INFINITY
  return (err) => {
    if (performance.now() - complainedAt < COMPLAIN_EVERY_MS) return
    complainedAt = performance.now()
    log.warn({ err }, 'spans could not be sent and are lost')
  }
}
