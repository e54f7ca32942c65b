/** The only module that uses OpenTelemetry's SDK. Everything not set here comes from its standard environment variables. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Attributes, context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { AlwaysOnSampler, BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { Logger } from './log.js'
import type { Tracing } from './tracing.js'

/** How long a stop waits for the last spans to be sent, in milliseconds: they are worth less than a stop in time. */
const LAST_EXPORT_MS = 3_000

/** A collector that is away is told of this often, in milliseconds. */
const COMPLAIN_EVERY_MS = 60_000

interface Options {
  /** What the spans say of this process; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before it. */
  resource: Attributes
  protocol: string
  /** Keeps the span that code runs in over its awaits. That costs a little with every promise, whether traced or not. */
  keepContext: boolean
  log: Logger
}

/** Finished spans wait in a bounded queue and are dropped when it is full: no event waits for a collector. */
export async function startOpenTelemetry(options: Options): Promise<Pick<Tracing, 'tracer' | 'batchTracer' | 'stop'>> {
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
