/** From stored text back to an event. */
import type { AcceptedEvent, RawEvent } from './event.js'
import type { Delivery } from './outcome.js'

/** An event as a stream entry carries it. Throws SyntaxError or TypeError when the text is no such thing. */
export function decodeEvent(text: string): AcceptedEvent {
  const event = JSON.parse(text)
  if (typeof event?.seq !== 'number' || typeof event.id !== 'string' || typeof event.data !== 'object') {
    throw new TypeError('the entry is no event')
  }
  return event
}

/** A stored event with its data parsed. */
export function parseEvent({ payload, ...event }: RawEvent): AcceptedEvent {
  return { ...event, data: JSON.parse(payload) }
}

/** An event that is delivered for the first time, as far as its worker knows. */
export function firstDelivery(event: AcceptedEvent, entryIds: string[]): Delivery {
  return { event, entryIds, attempts: 0, history: [], crashes: 0, inRetries: false }
}
