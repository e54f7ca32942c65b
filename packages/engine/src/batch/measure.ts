/** The metrics of a batch. */
import type { Outcome } from '@eventflow/core'
import type { WorkerMetrics } from '@eventflow/runtime'
import { parserOfTimes } from '../partition/event-time.js'
import type { Batch } from './batch.js'
import type { Settlement } from './settlement.js'

/**
 * Adds a settled batch to the metrics. Call it once for each batch, after its COMMIT. `late` is the number of its
 * events that were late (see `advanceEventTimes`).
 */
export function measure(settlement: Settlement, { startedAt }: Batch, late: number, metrics: WorkerMetrics): void {
  const { processed, fresh, failed, retried } = settlement
  const seconds = (performance.now() - startedAt) / 1_000
  const now = Date.now()

  countByType(fresh, (type, count) => metrics.eventsProcessed.inc({ type: metrics.typeOf(type) }, count))
  countByType(retried, (type, count) => metrics.retries.inc({ type: metrics.typeOf(type) }, count))
  for (const { delivery, failure } of failed) {
    const error_class = metrics.errorClassOf(failure.errorClass)
    metrics.eventsFailed.inc({ type: metrics.typeOf(delivery.event.type), error_class })
  }
  metrics.duplicates.inc(processed.length - fresh.length)

  const parse = parserOfTimes()
  for (const { kind, delivery } of [...fresh, ...failed, ...retried]) {
    const age = (now - parse(delivery.event.acceptedAt)) / 1_000
    if (delivery.attempts === 0) metrics.queueWait.observe(Math.max(0, age - seconds))
    if (kind !== 'retry') metrics.endToEnd.observe(age)
  }
  metrics.lateEvents.inc(late)
  metrics.processingDuration.observe(seconds)
  metrics.settleSize.observe(processed.length + failed.length + retried.length)
  if (processed.length + failed.length > 0) metrics.lastProcessed.set(now / 1_000)
}

function countByType(outcomes: readonly Outcome[], add: (type: string, count: number) => void): void {
  const counts = new Map<string, number>()
  for (const { delivery } of outcomes) counts.set(delivery.event.type, (counts.get(delivery.event.type) ?? 0) + 1)
  for (const [type, count] of counts) add(type, count)
}
