/** Event time: how far it has come in each partition, and which events are late. */
import type { AcceptedEvent } from '@eventflow/core'
import type { Partition } from './partition.js'

/** An event whose time is this long before the latest event time of its partition is late, in milliseconds. */
const ALLOWED_LATENESS_MS = 60_000

/**
 * Advances the latest event times of the partitions by events that were settled, in order. Gives how many of these
 * events are late.
 */
export function advanceEventTimes(
  events: readonly AcceptedEvent[],
  partitions: ReadonlyMap<number, Partition>,
): number {
  const parse = parserOfTimes()
  let late = 0
  for (const event of events) {
    const partition = partitions.get(event.partition)
    if (!partition) continue
    const acceptedAt = parse(event.acceptedAt)
    // Never after its acceptance: one producer whose clock is ahead would make all others late.
    const at = event.occurredAt === event.acceptedAt ? acceptedAt : Math.min(Date.parse(event.occurredAt), acceptedAt)
    if (at > partition.latestEventTime) partition.latestEventTime = at
    if (at < partition.latestEventTime - ALLOWED_LATENESS_MS) late++
  }
  return late
}

/** Parses times of acceptance: events that were accepted together come together, and have the same. */
export function parserOfTimes(): (time: string) => number {
  let [last, parsed] = ['', Number.NaN]
  return (time) => {
    if (time !== last) [last, parsed] = [time, Date.parse(time)]
    return parsed
  }
}
