/** What a batch adds to the metrics. */
import type { AcceptedEvent, Outcome } from '@eventflow/core'
import type { WorkerMetrics } from '@eventflow/runtime'
import type { Partition } from '../partition/partition.js'
import type { Settlement } from '../settle/settle.js'

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

  countByType(fresh, (type, count) => metrics.eventsProcessed.inc({ type: metrics.typeOf(type) }, count))
  countByType(retried, (type, count) => metrics.retries.inc({ type: metrics.typeOf(type) }, count))
  for (const { delivery, failure } of dead) {
    const error_class = metrics.errorClassOf(failure.errorClass)
    metrics.eventsFailed.inc({ type: metrics.typeOf(delivery.event.type), error_class })
  }
  metrics.duplicates.inc(committed.length - fresh.length)

  let late = 0
  const parse = parserOfTimes()
  for (const { kind, delivery } of [...fresh, ...dead, ...retried]) {
    const acceptedAt = parse(delivery.event.acceptedAt)
    const age = (now - acceptedAt) / 1_000
    if (delivery.attempts === 0) metrics.queueWait.observe(Math.max(0, age - seconds))
    if (kind === 'retry') continue
    metrics.endToEnd.observe(age)
    if (isLate(delivery.event, acceptedAt, partitions)) late++
  }
  metrics.lateEvents.inc(late)
  metrics.processingDuration.observe(seconds)
  metrics.settleSize.observe(committed.length + dead.length + retried.length)
  if (committed.length + dead.length > 0) metrics.lastProcessed.set(now / 1_000)
}

/** Events that were accepted together, and so come together, have the same time of acceptance. */
function parserOfTimes(): (time: string) => number {
  let [last, parsed] = ['', Number.NaN]
  return (time) => {
    if (time !== last) [last, parsed] = [time, Date.parse(time)]
    return parsed
  }
}

function countByType(outcomes: readonly Outcome[], add: (type: string, count: number) => void): void {
  const counts = new Map<string, number>()
  for (const { delivery } of outcomes) counts.set(delivery.event.type, (counts.get(delivery.event.type) ?? 0) + 1)
  for (const [type, count] of counts) add(type, count)
}

/** Whether the event is late. Moves on the latest event time of its partition, as far as this owner has seen it. */
function isLate(event: AcceptedEvent, acceptedAt: number, partitions: ReadonlyMap<number, Partition>): boolean {
  const partition = partitions.get(event.partition)
  if (!partition) return false
  // Never after its acceptance: one producer whose clock is ahead would make all others late.
  const at = event.occurredAt === event.acceptedAt ? acceptedAt : Math.min(Date.parse(event.occurredAt), acceptedAt)
  if (at > partition.latestEventTime) partition.latestEventTime = at
  return at < partition.latestEventTime - ALLOWED_LATENESS_MS
}
