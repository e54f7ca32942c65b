/** What a batch tells the world: metrics, one line for the batch, one for each unhappy event; at `debug` one for each event. */
import type { Delivery, Failure } from '@eventflow/core'
import type { Logger, Metrics } from '@eventflow/runtime'
import type { Settlement } from './settle.js'

/** Must be called once a settled batch, after its COMMIT. `startedAt` is on the monotonic clock, in milliseconds. */
export function tell(settlement: Settlement, startedAt: number, log: Logger, metrics: Metrics): void {
  const { committed, dead, retried, waiting, duplicates, held, broken } = settlement
  const seconds = (performance.now() - startedAt) / 1_000
  const processing_time_ms = Math.round(seconds * 1e6) / 1e3
  const now = Date.now()

  const byType = new Map<string, number>()
  for (const { delivery } of committed) byType.set(delivery.event.type, (byType.get(delivery.event.type) ?? 0) + 1)
  for (const [type, count] of byType) metrics.eventsProcessed.inc({ type }, count)
  for (const outcome of dead) {
    const type = outcome.failure.errorClass === 'UnknownType' ? 'other' : outcome.delivery.event.type
    metrics.eventsFailed.inc({ type, error_class: outcome.failure.errorClass })
    log.warn({ ...about(outcome), outcome: 'dead', processing_time_ms }, 'event is dead')
  }
  for (const outcome of retried) {
    metrics.retries.inc({ type: outcome.delivery.event.type })
    const { delayMs: delay_ms } = outcome
    log.info({ ...about(outcome), outcome: 'retry', delay_ms, processing_time_ms }, 'event will be tried again')
  }
  if (waiting.length > 0) {
    const { component, errorClass } = waiting[0]!.failure
    log.warn({ component, error_class: errorClass, events: waiting.length }, 'events wait for a dependency')
  }
  for (const { delivery } of [...committed, ...dead]) {
    metrics.endToEnd.observe((now - Date.parse(delivery.event.acceptedAt)) / 1_000)
  }
  metrics.duplicates.inc(duplicates)
  metrics.processingDuration.observe(seconds)
  metrics.settleSize.observe(committed.length + dead.length + retried.length)
  if (committed.length + dead.length > 0) metrics.lastProcessed.set(now / 1_000)

  if (broken.size > 0) {
    log.info({ fenced_partitions: [...broken] }, 'nothing was written for partitions; they are begun again')
  }
  log.routine(
    {
      processed: committed.length,
      duplicates,
      dead: dead.length,
      retried: retried.length,
      held: held.length,
      processing_time_ms,
    },
    'batch settled',
  )
  if (!log.isLevelEnabled('debug')) return
  for (const outcome of committed) {
    log.debug({ ...about(outcome), outcome: 'processed', processing_time_ms }, 'event processed')
  }
}

/** Which event, and what became of it. Not the failure's message, which may quote the event: `failed_events` has it. */
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
