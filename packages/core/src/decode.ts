/** From stored text back to an event. */
import type { AcceptedEvent, RawEvent } from './event.js'
import type { Delivery } from './outcome.js'
import { isUuid } from './uuid.js'

const TEXTS = ['tenantId', 'type', 'source', 'key', 'occurredAt', 'acceptedAt', 'correlationId'] as const

/** An event as a stream entry carries it. Throws SyntaxError or TypeError when the text is no such thing. */
export function decodeEvent(text: string): AcceptedEvent {
  const event: Partial<Record<keyof AcceptedEvent, unknown>> | null = JSON.parse(text)
  const isEvent =
    Number.isSafeInteger(event?.seq) &&
    Number.isSafeInteger(event?.partition) &&
    typeof event?.id === 'string' &&
    isUuid(event.id) &&
    TEXTS.every((name) => typeof event[name] === 'string') &&
    typeof event.data === 'object' &&
    event.data !== null &&
    !Array.isArray(event.data)
  if (!isEvent) throw new TypeError('the entry is no event')
  return event as unknown as AcceptedEvent
}

/** A stored event with its data parsed. */
export function parseEvent({ payload, ...event }: RawEvent): AcceptedEvent {
  return { ...event, data: JSON.parse(payload) }
}

/** An event that is delivered for the first time, as far as its worker knows. */
export function firstDelivery(event: AcceptedEvent, entryIds: string[]): Delivery {
  return { event, entryIds, attempts: 0, history: [], crashes: 0, inRetries: false }
}
