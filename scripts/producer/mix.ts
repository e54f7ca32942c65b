/** Makes a load imperfect: with invalid events and duplicates. */
import type { EventText, OutgoingEvent } from '@eventflow/client'

export interface Shares {
  /** Share of the events, 0 to 1, whose data violates every schema. */
  invalid: number
  /** Share of the events, 0 to 1, that are sent a second time, with the same id, a little later. */
  duplicates: number
}

/** Maximum distance between an event and its duplicate. */
const RECENT = 1000

/**
 * The first `count` of `events`, mixed with duplicates. The shares are exact; `random` chooses the events to repeat.
 */
export async function* mixed(
  events: AsyncIterable<OutgoingEvent | EventText> | Iterable<OutgoingEvent>,
  count: number,
  { invalid, duplicates }: Shares,
  random: () => number,
): AsyncGenerator<OutgoingEvent | EventText> {
  const recent: (OutgoingEvent | EventText)[] = []
  let n = 0
  if (count === 0) return
  for await (const event of events) {
    const mixedIn = isDue(n, invalid) ? spoiled(event) : event
    yield mixedIn
    recent[n % RECENT] = mixedIn
    if (isDue(n, duplicates)) yield recent[Math.floor(random() * recent.length)]!
    if (++n === count) return
  }
}

/** The number of events that `mixed` yields, for `count`. */
export function mixedCount(count: number, { duplicates }: Shares): number {
  return count + Math.floor(count * duplicates)
}

/** Whether the event with this number (from 0) belongs to the share, spread evenly. */
function isDue(n: number, share: number): boolean {
  return Math.floor((n + 1) * share) > Math.floor(n * share)
}

/**
 * An event of the type and key with data that fits no schema. It gets a new id, because the original may already have
 * been sent.
 */
function spoiled({ id, type, partitionkey }: OutgoingEvent | EventText): OutgoingEvent {
  const key = partitionkey === undefined ? {} : { partitionkey: String(partitionkey) }
  return { id: `${id} spoiled`, type: String(type), ...key, data: { spoiled: true } }
}
