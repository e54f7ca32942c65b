/** The event as a producer sends it, and what becomes of it. */
import { v7 } from 'uuid'
import type { EventRejected } from './failure.js'

/** An event to send: CloudEvents 1.0 attribute names. Only `type` and `data` are required. */
export interface OutgoingEvent {
  type: string
  data: Record<string, unknown>
  /** One id is one event, however often it is sent. Where it is missing, the client makes a UUIDv7. */
  id?: string
  source?: string
  /** When it happened, RFC 3339. */
  time?: string
  /** What order is kept by. An event without one is its own key. */
  partitionkey?: string
  correlationid?: string
  causationid?: string
  traceparent?: string
}

/**
 * What became of an event. `id` is the id under which the server knows it, where the server answered.
 *
 * - `accepted`: the server has stored it.
 * - `duplicate`: the server had it already; after a retry that may be this client's own first try.
 * - `rejected`: the server will never take it as it is.
 * - `undelivered`: nothing is known to be wrong with it, and it may or may not have arrived. Sending it again is safe.
 * - `spooled`: it is on this machine's disk and will be sent later (only from a producer with a spool).
 */
export type Delivery =
  | { status: 'accepted'; id: string }
  | { status: 'duplicate'; id: string }
  | { status: 'rejected'; id: string; error: EventRejected }
  | { status: 'undelivered'; id: string; error: Error }
  | { status: 'spooled'; id: string }

/** An event ready to be sent, and sent again: its id and its bytes will not change any more. */
export interface SealedEvent {
  id: string
  json: string
}

/** Brings events to where they go; one delivery each, in their order. Does not throw: failures are deliveries too. */
export type Deliver = (events: SealedEvent[], signal?: AbortSignal) => Promise<Delivery[]>

/**
 * Gives the event an id if it has none, and fixes its content. @throws {TypeError} when it cannot be written as JSON.
 */
export function seal(event: OutgoingEvent): SealedEvent {
  const id = event.id ?? v7()
  return { id, json: JSON.stringify(event.id === undefined ? { ...event, id } : event) }
}

/** Reads back what `seal` wrote. */
export function unseal(json: string): OutgoingEvent & { id: string } {
  return JSON.parse(json)
}
