/** Turns a stored event into a delivery for a worker. */
import type { AcceptedEvent, Payload, RawEvent } from './event.js'
import type { Delivery } from './outcome.js'

/** The delivery of an event without earlier attempts. `payload` is its data as it was stored. */
export function firstDelivery(event: AcceptedEvent, payload: string, entryIds: string[]): Delivery {
  return { event, payload, entryIds, attempts: 0, history: [], crashes: 0, inRetries: false }
}

/** The same for an event that was read from Postgres. Throws if its data is not a JSON object. */
export function storedDelivery({ payload, ...event }: RawEvent): Delivery {
  const data: unknown = JSON.parse(payload)
  if (!isPayload(data)) throw new TypeError('the data is no JSON object')
  return firstDelivery({ ...event, data }, payload, [])
}

/** Whether a value may be the `data` of an event. */
export function isPayload(data: unknown): data is Payload {
  return typeof data === 'object' && data !== null && !Array.isArray(data)
}
