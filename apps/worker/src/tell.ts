/** What a batch tells the world: metrics, one line for the batch, one for each unhappy event. */
import type { Failure, Outcome } from '@eventflow/core'
import type { Logger, Metrics } from '@eventflow/runtime'
import type { Settlement } from './settle.js'

/** Must be called once a settled batch, after its COMMIT. `startedAt` is on the monotonic clock, in milliseconds. */
export function tell(settlement: Settlement, startedAt: number, log: Logger, metrics: Metrics): void {
  const { committed, dead, retried, waiting, duplicates, held, broken } = settlement
  const seconds = (performance.now() - startedAt) / 1_000
  const now = Date.now()

  const byType = new Map<string, number>()
  for (const { delivery } of committed) byType.set(delivery.event.type, (byType.get(delivery.event.type) ?? 0) + 1)
  for (const [type, count] of byType) metrics.eventsProcessed.inc({ type }, count)
  for (const outcome of dead) {
    const type = outcome.failure.errorClass === 'UnknownType' ? 'other' : outcome.delivery.event.type
    metrics.eventsFailed.inc({ type, error_class: outcome.failure.errorClass })
    log.warn(describe(outcome), 'event is dead')
  }
  for (const outcome of retried) {
    metrics.retries.inc({ type: outcome.delivery.event.type })
    log.info({ ...describe(outcome), delay_ms: outcome.delayMs }, 'event will be tried again')
  }
  if (waiting.length > 0) {
    const { component, message } = waiting[0]!.failure
    log.warn({ component, error: message, events: waiting.length }, 'events wait for a dependency')
  }
  for (const { delivery } of [...committed, ...dead]) {
    metrics.endToEnd.observe((now - Date.parse(delivery.event.acceptedAt)) / 1_000)
  }
  metrics.duplicates.inc(duplicates)
  metrics.processingDuration.observe(seconds)
  metrics.settleSize.observe(committed.length + dead.length + retried.length)
  if (committed.length + dead.length > 0) metrics.lastProcessed.set(now / 1_000)

  log.debug(
    {
      processed: committed.length,
      duplicates,
      dead: dead.length,
      retried: retried.length,
      held: held.length,
      fenced_partitions: [...broken],
      processing_time_ms: Math.round(seconds * 1e6) / 1e3,
    },
    'batch settled',
  )
}

function describe({ delivery, failure }: Extract<Outcome, { failure: Failure }>) {
  const { event, attempts, entryIds } = delivery
  return {
    tenant_id: event.tenantId,
    event_id: event.id,
    event_type: event.type,
    correlation_id: event.correlationId,
    partition: event.partition,
    entry_id: entryIds[0],
    attempt: attempts + 1,
    component: failure.component,
    error_class: failure.errorClass,
    error: failure.message,
  }
}
