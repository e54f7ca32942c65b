/**
 * The text of a feed's entry: events of one partition that were accepted together. A hundred events in one entry cost
 * the feed and its clients about as much as one event alone.
 */
import { isPayload } from './delivery.js'
import type { AcceptedEvent, RawEvent } from './event.js'
import { isUuid } from './uuid.js'

/**
 * Comes before the payload, which is last. Nothing before it looks the same: quotes within texts are escaped, and no
 * CloudEvents extension may be named `data`.
 */
const BEFORE_PAYLOAD = ',"data":'

/** Stands between two events: the record separator of JSON text sequences (RFC 7464), which no JSON text contains. */
const SEPARATOR = '\u001e'

/** Packs events into the text of an entry. */
export function packEntry(events: readonly RawEvent[]): string {
  return events.map(encodeEvent).join(SEPARATOR)
}

/** The texts of an entry's events, in order. */
export function unpackEntry(text: string): string[] {
  return text.split(SEPARATOR)
}

/** An event as text. Its payload is JSON text already and goes in as it is. */
function encodeEvent(event: RawEvent): string {
  // Named one by one: to copy all but the payload would take longer than to write them as JSON.
  const meta: { [Name in Exclude<keyof RawEvent, 'payload'>]-?: RawEvent[Name] | undefined } = {
    seq: event.seq,
    tenantId: event.tenantId,
    id: event.id,
    externalId: event.externalId,
    type: event.type,
    source: event.source,
    key: event.key,
    partition: event.partition,
    occurredAt: event.occurredAt,
    acceptedAt: event.acceptedAt,
    correlationId: event.correlationId,
    causationId: event.causationId,
    traceparent: event.traceparent,
    extensions: event.extensions,
    hops: event.hops,
  }
  return `${JSON.stringify(meta).slice(0, -1)}${BEFORE_PAYLOAD}${event.payload}}`
}

const TEXTS = ['tenantId', 'type', 'source', 'key', 'occurredAt', 'acceptedAt', 'correlationId'] as const

/**
 * The event of a text, and its data as the text has it. All is parsed at once: taken apart first, it would cost more
 * than twice as much. Throws SyntaxError or TypeError when the text is no such thing.
 */
export function decodeEvent(text: string): { event: AcceptedEvent; payload: string } {
  const end = text.indexOf(BEFORE_PAYLOAD)
  if (end < 0) throw new TypeError('the text has no data')
  const event: Partial<Record<keyof AcceptedEvent, unknown>> = JSON.parse(text)
  const isEvent =
    Number.isSafeInteger(event.seq) &&
    Number.isSafeInteger(event.partition) &&
    typeof event.id === 'string' &&
    isUuid(event.id) &&
    TEXTS.every((name) => typeof event[name] === 'string') &&
    isPayload(event.data)
  if (!isEvent) throw new TypeError('the text is no event')
  return { event: event as unknown as AcceptedEvent, payload: text.slice(end + BEFORE_PAYLOAD.length, -1) }
}
