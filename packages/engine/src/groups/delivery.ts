/** An event of the log as it is delivered to a consumer group. */
import { type Delivery, freezeParsed, storedDelivery } from '@eventflow/core'
import type { LogEntry, LogPage, Parked } from '@eventflow/db'

export interface LogDelivery extends Delivery {
  /** Its place in the log. */
  position: number
  /** Where the cursor is once this event is handled. The cursor has passed a parked event already. */
  cursor: number
}

/** Returns the deliveries of a page. The entries behind the last event, which were not chosen, are passed with it. */
export function deliveriesOf({ entries, reached }: LogPage): LogDelivery[] {
  return entries.map((entry, index) => {
    const cursor = index === entries.length - 1 ? reached : entry.position
    return Object.assign(deliveryOf(entry), { position: entry.position, cursor })
  })
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
