/** From a stored event to one in the hands of a worker. */
import type { Payload, RawEvent } from './event.js'
import type { Delivery } from './outcome.js'

/** An event that is delivered for the first time, as far as its worker knows. Throws when its data is no JSON object. */
export function firstDelivery({ payload, ...event }: RawEvent, entryIds: string[]): Delivery {
  const data: unknown = JSON.parse(payload)
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new TypeError('the data is no JSON object')
  const accepted = { ...event, data: data as Payload }
  return { event: accepted, payload, entryIds, attempts: 0, history: [], crashes: 0, inRetries: false }
}
