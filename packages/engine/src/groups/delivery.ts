/** An event of the log as it is delivered to a consumer group. */
import { type Delivery, freezeParsed, storedDelivery } from '@eventflow/core'
import type { LogEntry, LogMark, LogPage, Parked } from '@eventflow/db'

export interface LogDelivery extends Delivery {
  /** Its place in the log. */
  position: number
  /** Where the cursor is once this event is handled; 0 if the cursor has passed it already. */
  cursor: number
  /** The marks of the log since the entry before. */
  marks?: readonly LogMark[]
}

/** Returns the deliveries of a page. The entries behind the last event, which were not chosen, are passed with it. */
export function deliveriesOf({ entries, reached }: LogPage): LogDelivery[] {
  return entries.map((entry, index) => {
    const cursor = index === entries.length - 1 ? reached : entry.position
    return Object.assign(deliveryOf(entry), { position: entry.position, cursor })
  })
}

/**
 * Does the same for a page with its marks. Returns also the marks behind the last event, which the cursor must not pass
 * with it.
 */
export function deliveriesWithMarks(page: LogPage, marks: readonly LogMark[]): [LogDelivery[], LogMark[]] {
  const deliveries = deliveriesOf(page)
  let at = 0
  for (const delivery of deliveries) {
    const first = at
    while (at < marks.length && marks[at]!.position < delivery.position) at++
    if (at > first) delivery.marks = marks.slice(first, at)
  }
  const behind = marks.slice(at)
  const last = deliveries.at(-1)
  if (last && behind.length > 0) last.cursor = last.position
  return [deliveries, behind]
}

/** Returns the delivery of a parked event: `inRetries` says that it has a row. */
export function parkedDelivery({ attempts, history, crashes, ...entry }: Parked): LogDelivery {
  const { position } = entry
  return Object.assign(deliveryOf(entry), { position, cursor: 0, attempts, history, crashes, inRetries: true })
}

function deliveryOf({ event }: LogEntry): Delivery {
  const delivery = storedDelivery(event)
  freezeParsed(delivery.event.data)
  if (delivery.event.extensions) Object.freeze(delivery.event.extensions)
  return delivery
}
