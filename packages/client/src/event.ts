/** The event as a producer sends it, and what becomes of it. */
import { v7 } from 'uuid'
import { checkExact } from './exact.js'
import type { EventRejected } from './failure.js'

/** An event with the attributes of CloudEvents 1.0 that EventFlow knows. Only `type` and `data` are required. */
interface KnownEvent {
  type: string
  data: Record<string, unknown>
  /** Source and id together are one event, however often it is sent. Where the id is missing, the client makes a UUIDv7. */
  id?: string
  source?: string
  /** When it happened, RFC 3339. */
  time?: string
  /** What order is kept by. An event without one is its own key. */
  partitionkey?: string
  correlationid?: string
  causationid?: string
  traceparent?: string
  subject?: string
  dataschema?: string
}

/** An event to send. An extension attribute has a name of 1 to 50 of a-z and 0-9, and is a text, a whole number or a boolean. */
export type OutgoingEvent =
  | KnownEvent
  | (KnownEvent & { [extension: string]: KnownEvent['data'] | string | number | boolean | undefined })

/** Attributes that an event may have in plain JSON. With any other it is sent as a CloudEvent. */
const PLAIN = new Set(
  'specversion id source type time datacontenttype partitionkey correlationid causationid traceparent subject dataschema data'.split(
    ' ',
  ),
)

/**
 * An event that is JSON already. It is sent as it is written, so that the server judges the numbers and names that are
 * there, and not what JavaScript makes of them.
 */
export class EventText implements SealedEvent {
  readonly id: string
  readonly json: string
  readonly type: unknown
  readonly partitionkey: unknown
  readonly isCloudEvent: boolean

  /**
   * `makeId` is asked for an id where the event has none.
   * @throws {SyntaxError} when it is not JSON @throws {TypeError} when it is no object
   */
  constructor(json: string, makeId: (event: object) => string = v7) {
    const event: unknown = JSON.parse(json)
    if (!isObject(event)) throw new TypeError('it is not an event: an object with a type and data')
    // Between the parts of JSON a line feed means as much as a space, and a spool has an event a line.
    const line = json.replaceAll('\n', ' ')
    this.id = event.id === undefined ? makeId(event) : String(event.id)
    this.json = event.id === undefined ? withMember(line, 'id', this.id, Object.keys(event).length === 0) : line
    this.type = event.type
    this.partitionkey = event.partitionkey
    this.isCloudEvent = isCloudEvent(event)
  }
}

/** The JSON of an object with one member more, in front. */
function withMember(json: string, name: string, value: string, isEmpty: boolean): string {
  return json.replace('{', () => `{${JSON.stringify(name)}:${JSON.stringify(value)}${isEmpty ? '' : ','}`)
}

const hasExtension = (event: object) => Object.keys(event).some((name) => !PLAIN.has(name))

/**
 * Whether what is written is to be sent as a CloudEvent. In what says nothing of CloudEvents an unknown name is a
 * mistake, and refused.
 */
const isCloudEvent = (event: object) => 'specversion' in event && hasExtension(event)

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * What became of an event. `id` is the id under which the server knows it, where the server answered: another one than
 * was sent where that is no UUID, or the source is not `/`.
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
  /** Whether it has attributes that only CloudEvents have. */
  isCloudEvent?: boolean
}

/** Brings events to where they go; one delivery each, in their order. Does not throw: failures are deliveries too. */
export type Deliver = (events: SealedEvent[], signal?: AbortSignal) => Promise<Delivery[]>

/**
 * Gives the event an id if it has none, and fixes its content. `name` is for errors.
 * @throws {TypeError} when JSON would lose or change something in it, naming where
 */
export function seal(event: OutgoingEvent | EventText, name = 'the event'): SealedEvent {
  if (event instanceof EventText) return event
  checkExact(event, name)
  const id = event.id ?? v7()
  const given = event.id === undefined ? { ...event, id } : event
  if (!hasExtension(event)) return { id, json: JSON.stringify(given) }
  for (const [attribute, value] of Object.entries(event)) checkExtension(attribute, value, name)
  return { id, json: JSON.stringify({ ...given, specversion: '1.0', source: event.source ?? '/' }), isCloudEvent: true }
}

function checkExtension(attribute: string, value: unknown, name: string): void {
  if (PLAIN.has(attribute)) return
  if (!/^[a-z0-9]{1,50}$/.test(attribute)) {
    throw new TypeError(
      `${name} cannot be sent: /${attribute} is not an attribute name: 1 to 50 characters of a-z and 0-9`,
    )
  }
  if (value === undefined || typeof value === 'string' || typeof value === 'boolean' || Number.isInteger(value)) return
  throw new TypeError(`${name} cannot be sent: /${attribute} must be a string, an integer or a boolean`)
}

/** Reads back what `seal` wrote. */
export function unseal(json: string): OutgoingEvent & { id: string } {
  return JSON.parse(json)
}

/** A sealed event of its JSON alone. */
export function sealedOf(json: string): SealedEvent {
  const event = unseal(json)
  return { id: event.id, json, ...(isCloudEvent(event) && { isCloudEvent: true }) }
}
