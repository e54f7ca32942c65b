/** Converts entries of the log to the form of the API, as JSON, so that their data need not be parsed. */
import type { LogEntry } from '@eventflow/db'

/** Returns an entry as JSON. `position`: its token. */
export function describeLogEntry({ event, processedAt }: LogEntry, position: string): string {
  const attributes = {
    id: event.id,
    ...(event.externalId !== undefined && { external_id: event.externalId }),
    type: event.type,
    source: event.source,
    time: event.occurredAt,
    partitionkey: event.key,
    partition: event.partition,
    position,
    correlationid: event.correlationId,
    ...(event.causationId !== undefined && { causationid: event.causationId }),
    ...(event.traceparent !== undefined && { traceparent: event.traceparent }),
    ...(event.extensions !== undefined && { extensions: event.extensions }),
    accepted_at: event.acceptedAt,
    processed_at: processedAt,
  }
  return `${JSON.stringify(attributes).slice(0, -1)},"data":${event.payload}}`
}
