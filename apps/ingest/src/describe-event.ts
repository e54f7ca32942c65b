/** One event's story, as the API tells it. */
import type { Attempt } from '@eventflow/core'

// biome-ignore lint/suspicious/noExplicitAny: a row of the view `events`.
type EventRow = Record<string, any>

/** A row of the view `events` with CloudEvents' names, its failure and its timeline. */
export function describeEvent(row: EventRow) {
  return {
    id: row.event_id,
    ...(row.external_id !== null && { external_id: row.external_id }),
    type: row.type,
    source: row.source,
    time: row.occurred_at,
    partitionkey: row.key,
    partition: row.partition,
    correlationid: row.correlation_id,
    ...(row.causation_id !== null && { causationid: row.causation_id }),
    ...(row.traceparent !== null && { traceparent: row.traceparent }),
    status: row.status,
    attempts: row.attempts,
    timeline: timelineOf(row),
    ...(row.failed_at !== null && { failure: failureOf(row) }),
    data: row.payload,
    ...(row.result !== null && { result: row.result }),
  }
}

function failureOf(row: EventRow) {
  const { failure_type, error_class, message, component, errors } = row
  return { failure_type, error_class, message, component, errors }
}

/** What happened to the event, in order, and what is due next. */
function timelineOf(row: EventRow) {
  const attempts: Attempt[] = row.history ?? []
  const steps: { at: string; what: string; detail?: string }[] = [
    { at: row.accepted_at, what: 'accepted' },
    ...attempts.map(({ at, attempt, component, errorClass, message }) => ({
      at,
      what: `attempt ${attempt} failed`,
      detail: `${component}: ${errorClass}: ${message}`,
    })),
  ]
  if (row.processed_at !== null) steps.push({ at: row.processed_at, what: 'processed', detail: `by ${row.worker_id}` })
  else if (row.failed_at !== null) steps.push({ at: row.failed_at, what: row.status, detail: row.message })
  else if (row.retry_at !== null) steps.push({ at: row.retry_at, what: 'next attempt is due' })
  return steps
}
