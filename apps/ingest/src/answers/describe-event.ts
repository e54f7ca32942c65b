/** Converts an event and its history to the form of the API. */
import type { Attempt } from '@eventflow/core'
import { momentOf } from '@eventflow/db'

// biome-ignore lint/suspicious/noExplicitAny: a row of the view `events`.
type EventRow = Record<string, any>

function attributesOf(row: EventRow) {
  return {
    id: row.event_id,
    ...(row.external_id !== null && { external_id: row.external_id }),
    type: row.type,
    source: row.source,
    time: momentOf(row.time),
    partitionkey: row.key,
    partition: row.partition,
    correlationid: row.correlation_id,
    ...(row.causation_id !== null && { causationid: row.causation_id }),
  }
}

/**
 * Converts a row of the view `events`: CloudEvents' names, the failure and the timeline. `traceUrl`: where traces can
 * be viewed.
 */
export function describeEvent(row: EventRow, traceUrl: string) {
  return {
    ...attributesOf(row),
    ...(row.traceparent !== null && { traceparent: row.traceparent }),
    ...(row.traceparent !== null && traceUrl && { trace_url: traceUrlOf(row.traceparent, traceUrl) }),
    ...(row.extensions !== null && { extensions: row.extensions }),
    status: row.status,
    attempts: row.attempts,
    timeline: timelineOf(row),
    ...(row.failed_at !== null && row.status !== 'processed' && { failure: failureOf(row) }),
    ...(row.dead_in !== null && { dead_in: row.dead_in }),
    data: row.payload,
    ...(row.result !== null && { result: row.result }),
  }
}

/** `traceparent` is version-trace-span-flags. */
function traceUrlOf(traceparent: string, traceUrl: string): string {
  return traceUrl.replaceAll('{trace_id}', traceparent.split('-')[1]!)
}

/** An event in a list: without its data and its timeline. */
export function describeListedEvent(row: EventRow) {
  const ended = row.status === 'processed' ? row.processed_at : row.failed_at
  return {
    ...attributesOf(row),
    status: row.status,
    attempts: row.attempts,
    accepted_at: row.accepted_at,
    ...(isSettled(row.status) && { settled_at: ended }),
    ...(row.status === 'retrying' && { retry_at: row.retry_at }),
    ...(row.status !== 'processed' &&
      row.error_class !== null && { error_class: row.error_class, message: row.message }),
  }
}

const isSettled = (status: string) => ['processed', 'failed', 'discarded'].includes(status)

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
      what: attempt === 0 ? 'replayed' : `attempt ${attempt} failed`,
      detail: attempt === 0 ? message : `${component}: ${errorClass}: ${message}`,
    })),
  ]
  const hasFailed = row.status === 'failed' || row.status === 'discarded'
  if (hasFailed) steps.push({ at: row.failed_at, what: 'failed', detail: row.message })
  if (row.status === 'discarded') {
    steps.push({ at: row.resolved_at, what: 'discarded', detail: `by ${row.resolved_by}: ${row.reason}` })
  }
  if (row.processed_at !== null) steps.push({ at: row.processed_at, what: 'processed', detail: `by ${row.worker_id}` })
  else if (row.retry_at !== null && !hasFailed) steps.push({ at: row.retry_at, what: 'next attempt is due' })
  return steps
}
