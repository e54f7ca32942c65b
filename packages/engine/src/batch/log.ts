/** What a batch tells in the log: one line for the batch, one for each unhappy event; at `debug` one for each event. */
import type { Delivery, Failure } from '@eventflow/core'
import type { Logger } from '@eventflow/runtime'
import type { Settlement } from '../settle/settle.js'

/** Must be called once a settled batch, after its COMMIT. `startedAt` is on the monotonic clock, in milliseconds. */
export function tell(settlement: Settlement, startedAt: number, log: Logger): void {
  const { committed, fresh, dead, retried, waiting, held, broken } = settlement
  const seconds = (performance.now() - startedAt) / 1_000
  const processing_time_ms = Math.round(seconds * 1e6) / 1e3
  for (const outcome of dead) {
    log.warn({ ...about(outcome), outcome: 'dead', processing_time_ms }, 'event is dead')
  }
  for (const outcome of retried) {
    const { delayMs: delay_ms } = outcome
    log.info({ ...about(outcome), outcome: 'retry', delay_ms, processing_time_ms }, 'event will be tried again')
  }
  if (waiting.length > 0) {
    const { component, errorClass } = waiting[0]!.failure
    log.warn({ component, error_class: errorClass, events: waiting.length }, 'events wait for a dependency')
  }
  if (broken.size > 0) {
    log.info({ fenced_partitions: [...broken] }, 'nothing was written for partitions; they are begun again')
  }
  log.routine(
    {
      processed: committed.length,
      duplicates: committed.length - fresh.length,
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
