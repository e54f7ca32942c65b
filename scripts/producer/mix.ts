/** What makes a load less than perfect: events that are wrong, and events that are sent again. */
import type { OutgoingEvent } from '@eventflow/client'

export interface Shares {
  /** Share of the events, 0 to 1, whose data is against every schema. */
  invalid: number
  /** Share of the events, 0 to 1, that are sent a second time, with the same id, a little later. */
  duplicates: number
}

/** How far back an event lies that is sent again, at most. */
const RECENT = 1000

/**
 * The first `count` of `events`, mixed with repetitions. The shares are exact; `random` says which event is repeated.
 */
export async function* mixed(
  events: AsyncIterable<OutgoingEvent> | Iterable<OutgoingEvent>,
  count: number,
  { invalid, duplicates }: Shares,
  random: () => number,
): AsyncGenerator<OutgoingEvent> {
  const recent: OutgoingEvent[] = []
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

/** How many events `mixed` gives, of `count`. */
export function mixedCount(count: number, { duplicates }: Shares): number {
  return count + Math.floor(count * duplicates)
}

/** Whether the event with this number (from 0) is one of the share, spread evenly. */
function isDue(n: number, share: number): boolean {
  return Math.floor((n + 1) * share) > Math.floor(n * share)
}

/** The event with data that fits no schema. It has an id of its own: the right one may have been sent before. */
function spoiled(event: OutgoingEvent): OutgoingEvent {
  return { ...event, id: `${event.id} spoiled`, data: { spoiled: true } }
}
