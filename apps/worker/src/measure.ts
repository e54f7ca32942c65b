/** What a batch adds to the metrics. */
import type { AcceptedEvent, Dead, Outcome } from '@eventflow/core'
import type { WorkerMetrics } from '@eventflow/runtime'
import type { Partition } from './partition.js'
import type { Settlement } from './settle.js'

/** An event whose time is so long before the latest of its partition is late, in milliseconds. */
const ALLOWED_LATENESS_MS = 60_000

/** Must be called once a settled batch, after its COMMIT. `startedAt` is on the monotonic clock, in milliseconds. */
export function measure(
  settlement: Settlement,
  startedAt: number,
  partitions: ReadonlyMap<number, Partition>,
  metrics: WorkerMetrics,
): void {
  const { committed, fresh, dead, retried } = settlement
  const seconds = (performance.now() - startedAt) / 1_000
  const now = Date.now()
  const ended = [...fresh, ...dead]

  countByType(fresh, (type, count) => metrics.eventsProcessed.inc({ type: metrics.typeOf(type) }, count))
  countByType(retried, (type, count) => metrics.retries.inc({ type: metrics.typeOf(type) }, count))
  for (const { delivery, failure } of dead) {
    const error_class = metrics.errorClassOf(failure.errorClass)
    metrics.eventsFailed.inc({ type: metrics.typeOf(delivery.event.type), error_class })
  }
  metrics.duplicates.inc(committed.length - fresh.length)
  metrics.lateEvents.inc(countLate(ended, partitions))

  const secondsSinceAccepted = ({ delivery }: Outcome) => (now - Date.parse(delivery.event.acceptedAt)) / 1_000
  for (const outcome of ended) metrics.endToEnd.observe(secondsSinceAccepted(outcome))
  for (const outcome of [...ended, ...retried]) {
    if (outcome.delivery.attempts > 0) continue
    metrics.queueWait.observe(Math.max(0, secondsSinceAccepted(outcome) - seconds))
  }
  metrics.processingDuration.observe(seconds)
  metrics.settleSize.observe(committed.length + dead.length + retried.length)
  if (committed.length + dead.length > 0) metrics.lastProcessed.set(now / 1_000)
}

function countByType(outcomes: readonly Outcome[], add: (type: string, count: number) => void): void {
  const counts = new Map<string, number>()
  for (const { delivery } of outcomes) counts.set(delivery.event.type, (counts.get(delivery.event.type) ?? 0) + 1)
  for (const [type, count] of counts) add(type, count)
}

/** How many of these are late. Moves on the latest event time of each partition, as far as this owner has seen it. */
function countLate(ended: readonly (Outcome | Dead)[], partitions: ReadonlyMap<number, Partition>): number {
  let late = 0
  for (const { delivery } of ended) {
    const partition = partitions.get(delivery.event.partition)
    if (!partition) continue
    const at = eventTime(delivery.event)
    if (at < partition.latestEventTime - ALLOWED_LATENESS_MS) late++
    else if (at > partition.latestEventTime) partition.latestEventTime = at
  }
  return late
}

/** Never after its acceptance: one producer whose clock is ahead would make all others late. */
function eventTime({ occurredAt, acceptedAt }: AcceptedEvent): number {
  const accepted = Date.parse(acceptedAt)
  return occurredAt === acceptedAt ? accepted : Math.min(Date.parse(occurredAt), accepted)
}
