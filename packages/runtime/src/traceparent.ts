/** W3C Trace Context as text, as it goes with an event: `00-<trace id>-<span id>-<flags>`. */
import { isSpanContextValid, type SpanContext, TraceFlags } from '@opentelemetry/api'

/** Whether the trace is sampled: the last bit of the flags. Cheap, since it is called for each event of a batch. */
export function isSampled(traceparent: string | undefined): traceparent is string {
  return traceparent !== undefined && /[13579bdf]$/.test(traceparent)
}

/** The span that a traceparent names, or nothing when it names none. */
export function parseTraceparent(traceparent: string | undefined): SpanContext | undefined {
  const [, version, traceId, spanId, flags] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? '') ?? []
  if (version === undefined || version === 'ff') return undefined
  const spanContext = { traceId: traceId!, spanId: spanId!, traceFlags: Number.parseInt(flags!, 16), isRemote: true }
  return isSpanContextValid(spanContext) ? spanContext : undefined
}

/** The traceparent that names a span. */
export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags & TraceFlags.SAMPLED ? '01' : '00'}`
}
