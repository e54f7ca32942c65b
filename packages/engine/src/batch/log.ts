/**
 * The log lines of a batch: one for the batch and one for each event that failed or will be retried. At `debug`, also
 * one for each processed event.
 */
import type { Delivery, Failure } from '@eventflow/core'
import type { Logger } from '@eventflow/runtime'
import type { Batch } from './batch.js'
import type { Settlement } from './settlement.js'

/** Logs a settled batch. Call it once for each batch, after its COMMIT. */
export function logBatch(settlement: Settlement, { startedAt }: Batch, log: Logger): void {
  const { processed, fresh, failed, retried, waiting, blocked, broken } = settlement
  const seconds = (performance.now() - startedAt) / 1_000
  const processing_time_ms = Math.round(seconds * 1e6) / 1e3
  for (const outcome of failed) {
    log.warn({ ...about(outcome), outcome: 'dead', processing_time_ms }, 'event failed')
  }
  for (const outcome of retried) {
    const { delayMs: delay_ms } = outcome
    log.info({ ...about(outcome), outcome: 'retry', delay_ms, processing_time_ms }, 'event will be retried')
  }
  if (waiting.length > 0) {
    const { component, errorClass } = waiting[0]!.failure
    log.warn(
      { component, error_class: errorClass, events: waiting.length },
      'events wait for a dependency that is down',
    )
  }
  if (broken.size > 0) {
    log.info(
      { fenced_partitions: [...broken] },
      'partitions failed the fence: nothing was written for them, and they begin again',
    )
  }
  log.routine(
    {
      processed: processed.length,
      duplicates: processed.length - fresh.length,
      dead: failed.length,
      retried: retried.length,
      held: blocked.length,
      processing_time_ms,
    },
    'batch settled',
  )
  if (!log.isLevelEnabled('debug')) return
  for (const outcome of processed) {
    log.debug({ ...about(outcome), outcome: 'processed', processing_time_ms }, 'event processed')
  }
}

/**
 * The fields that identify an event and its failure. The failure's message is left out because it may quote the event;
 * `failed_events` has it.
 */
function about({ delivery, failure }: { delivery: Delivery; failure?: Failure }) {
  const { event, attempts, crashes, entryIds } = delivery
  return {
    tenant_id: event.tenantId,
    event_id: event.id,
    event_type: event.type,
    correlation_id: event.correlationId,
    trace_id: event.traceparent?.slice(3, 35),
    partition: event.partition,
    entry_id: entryIds[0],
    attempt: attempts + 1,
    delivery_count: attempts + Math.max(1, crashes),
    component: failure?.component,
    error_class: failure?.errorClass,
  }
}
