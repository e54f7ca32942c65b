/** Traces: OpenTelemetry's SDK, loaded only if an OTLP endpoint is set. */
import type { Attributes } from '@opentelemetry/api'
import type { Logger } from './log.js'
import type { Tracers } from './opentelemetry.js'
import type { TracingSettings } from './tracing-settings.js'

export interface Tracing extends Tracers {
  /** The destination of the messages: the streams of all partitions, under one name. */
  destination: string
  /** The name and the attributes of a span by the semantic conventions for messaging. */
  messaging(operation: MessagingOperation): { name: string; attributes: Attributes }
}

export type MessagingOperation = 'send' | 'receive' | 'process' | 'settle'

/** Starts tracing for the whole process; `undefined` if no endpoint is set, or no trace would be sampled. */
export async function startTracing(
  service: 'ingest' | 'worker',
  config: TracingSettings & { EVENTFLOW_STREAM_PREFIX: string },
  log: Logger,
  instance?: string,
): Promise<Tracing | undefined> {
  const endpoint = config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || config.OTEL_EXPORTER_OTLP_ENDPOINT
  const isOff =
    config.OTEL_SDK_DISABLED === 'true' ||
    config.OTEL_TRACES_EXPORTER === 'none' ||
    config.OTEL_TRACES_SAMPLER === 'always_off'
  if (endpoint === '' || isOff) return undefined
  const { startOpenTelemetry } = await import('./opentelemetry.js')
  const protocol = config.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || config.OTEL_EXPORTER_OTLP_PROTOCOL
  const resource = {
    'service.name': `eventflow-${service}`,
    'service.namespace': 'eventflow',
    ...(instance !== undefined && { 'service.instance.id': instance }),
  }
  // Only handlers and enrichers, in the worker, need the current span.
  const sdk = await startOpenTelemetry({ resource, protocol, keepContext: service === 'worker', log })
  const destination = `${config.EVENTFLOW_STREAM_PREFIX}:events`
  return {
    ...sdk,
    destination,
    messaging: (operation) => ({
      name: `${operation} ${destination}`,
      attributes: {
        'messaging.system': 'redis',
        'messaging.operation.name': operation,
        'messaging.operation.type': operation,
        'messaging.destination.name': destination,
      },
    }),
  }
}
