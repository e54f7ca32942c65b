/** A stream entry: one event, packed into one field. */
import { isUuid, type RawEvent } from '@eventflow/core'

/** The one field of an entry: Redis adds and reads one packed field faster than one for each attribute. */
export const FIELD = 'e'

/** The stream of a partition. The braces are the hash tag of Redis Cluster. */
export function streamKey(prefix: string, partition: number): string {
  return `${prefix}:{p${partition}}:events`
}

/**
 * Comes before the payload, which is last. Nothing before it looks the same: quotes within texts are escaped, and no CloudEvents
 * extension may be named `data`.
 */
const BEFORE_PAYLOAD = ',"data":'

/** Packs an event. Its payload is JSON text already and goes in as it is. */
export function encodeEntry({ payload, ...meta }: RawEvent): string {
  return `${JSON.stringify(meta).slice(0, -1)}${BEFORE_PAYLOAD}${payload}}`
}

const TEXTS = ['tenantId', 'type', 'source', 'key', 'occurredAt', 'acceptedAt', 'correlationId'] as const

/** Unpacks an event; its payload is not looked into. Throws SyntaxError or TypeError when the text is no such thing. */
export function decodeEntry(text: string): RawEvent {
  const end = text.indexOf(BEFORE_PAYLOAD)
  if (end < 0) throw new TypeError('the entry has no data')
  const meta: Partial<Record<keyof RawEvent, unknown>> = JSON.parse(`${text.slice(0, end)}}`)
  const isEvent =
    Number.isSafeInteger(meta.seq) &&
    Number.isSafeInteger(meta.partition) &&
    typeof meta.id === 'string' &&
    isUuid(meta.id) &&
    TEXTS.every((name) => typeof meta[name] === 'string')
  if (!isEvent) throw new TypeError('the entry is no event')
  return { ...(meta as Omit<RawEvent, 'payload'>), payload: text.slice(end + BEFORE_PAYLOAD.length, -1) }
}
