/** Event time: the latest event time of each partition, and which events are late. */
import type { AcceptedEvent } from '@eventflow/core'
import type { Partition } from './partition.js'

/** An event is late if its time is this many milliseconds before the latest event time of its partition. */
const ALLOWED_LATENESS_MS = 60_000

/**
 * Advances the latest event times of the partitions by settled events, which come in order. Returns how many of these
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
    // Capped at the time of acceptance: otherwise one producer with a fast clock would make the events of all others
    // late.
    const at = event.occurredAt === event.acceptedAt ? acceptedAt : Math.min(Date.parse(event.occurredAt), acceptedAt)
    if (at > partition.latestEventTime) partition.latestEventTime = at
    if (at < partition.latestEventTime - ALLOWED_LATENESS_MS) late++
  }
  return late
}

/**
 * Returns a parser for times of acceptance that caches the last one: events accepted together have the same time and
 * follow each other.
 */
export function parserOfTimes(): (time: string) => number {
  let [last, parsed] = ['', Number.NaN]
  return (time) => {
    if (time !== last) [last, parsed] = [time, Date.parse(time)]
    return parsed
  }
}
