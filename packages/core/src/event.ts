/** The event: as a producer sends it, and as it is once it is accepted. */

/** Any JSON object: the `data` of an event. */
export type Payload = Record<string, unknown>

/**
 * An event as a producer sends it: CloudEvents 1.0 attribute names.
 * Only `type` and `data` are required; ingestion fills in the rest.
 */
export interface IncomingEvent {
  type: string
  data: Payload
  /** Any string. Source and id together identify the event: see `eventIdOf`. */
  id?: string
  source?: string
  /** Event time, RFC 3339. */
  time?: string
  /** Media type of `data`: JSON in UTF-8. */
  datacontenttype?: string
  /** The ordering key. An event without one is its own key. */
  partitionkey?: string
  correlationid?: string
  causationid?: string
  traceparent?: string
}

/** CloudEvent attributes that have no meaning to EventFlow, such as `subject`: stored, and passed to handlers. */
export type Extensions = Record<string, string | number | boolean>

/** An accepted event: a committed row of `raw_events`. */
export interface AcceptedEvent<Data = Payload> {
  /** Order of acceptance: `raw_events.seq`. A bigint in Postgres, exact here up to 2^53. */
  seq: number
  tenantId: string
  /** UUID, unique within the tenant. */
  id: string
  /** The producer's id, unique within `source`, if it differs from `id`. */
  externalId?: string
  type: string
  source: string
  key: string
  partition: number
  /** Event time, RFC 3339 in UTC: three digits of a second, or six where it was sent with microseconds. */
  occurredAt: string
  /** Time of acceptance, RFC 3339 in UTC. */
  acceptedAt: string
  correlationId: string
  causationId?: string
  traceparent?: string
  extensions?: Extensions
  /** How many events led to this one, each emitted while the one before was processed; missing if none did. */
  hops?: number
  data: Data
}

/** An accepted event whose data is still the stored JSON text, which is passed on without being serialised again. */
export interface RawEvent extends Omit<AcceptedEvent, 'data'> {
  payload: string
}

/** The statuses of an accepted event, as users see them and as in the view `events`. */
export const EVENT_STATUSES = ['accepted', 'retrying', 'processed', 'failed', 'discarded'] as const
export type EventStatus = (typeof EVENT_STATUSES)[number]
