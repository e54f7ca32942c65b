/** Converts dead letters and operations to the form of the API. */
import type { Operation, Sample } from '@eventflow/db'
import { describeFilter } from './filter.js'

// biome-ignore lint/suspicious/noExplicitAny: a row of `failed_events`.
type DeadLetterRow = Record<string, any>

/** A dead letter in a list. */
export function describeDeadLetter(row: DeadLetterRow) {
  const { failure_type, error_class, message, component } = row
  return {
    id: row.event_id,
    type: row.type,
    partitionkey: row.key,
    correlationid: row.correlation_id,
    status: row.status,
    attempts: row.attempts,
    accepted_at: row.accepted_at,
    failed_at: row.failed_at,
    failure: { failure_type, error_class, message, component },
    ...(row.resolved_at !== null && { resolved_at: row.resolved_at }),
    ...(row.resolved_by !== null && { resolved_by: row.resolved_by }),
    ...(row.reason !== null && { reason: row.reason }),
  }
}

/** A dead letter with all fields. */
export function describeWholeDeadLetter(row: DeadLetterRow) {
  const { failure, ...rest } = describeDeadLetter(row)
  return {
    ...rest,
    failure: { ...failure, errors: row.errors },
    worker_id: row.worker_id,
    partition: row.partition,
    history: row.history,
    data: row.payload,
  }
}

/** An event of a dry run: enough to recognize it. */
export function describeSample({ event_id, type, key, accepted_at, error_class, message }: Sample) {
  return { id: event_id, type, partitionkey: key, accepted_at, ...(error_class && { error_class, message }) }
}

/** The progress of an operation. */
export function describeOperation(operation: Operation) {
  const { filter, requestedBy, schemaVersion, startedAt, finishedAt } = operation
  const { id, kind, status, rate, reason, total, done } = operation
  return {
    ...{ id, kind, status, filter: describeFilter(filter), rate, reason, requested_by: requestedBy, total, done },
    schema_version: schemaVersion,
    started_at: startedAt,
    finished_at: finishedAt,
  }
}
