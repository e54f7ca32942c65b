/** An event as a producer sends it, and its outcome. */
import { v7 } from 'uuid'
import { checkExact } from './exact.js'
import type { EventRejected } from './failure.js'

/** An event with the attributes of CloudEvents 1.0 that EventFlow knows. Only `type` and `data` are required. */
interface KnownEvent {
  type: string
  data: Record<string, unknown>
  /**
   * Source and id together identify the event, however often it is sent. If the id is missing, the client makes a
   * UUIDv7.
   */
  id?: string
  source?: string
  /** When it happened, RFC 3339. */
  time?: string
  /** The ordering key: events of one key are processed in order. Without one, the event is its own key. */
  partitionkey?: string
  correlationid?: string
  causationid?: string
  traceparent?: string
  subject?: string
  dataschema?: string
}

/**
 * An event to send. The name of an extension attribute has 1 to 50 characters of a-z and 0-9; its value is a string, an
 * integer or a boolean.
 */
export type OutgoingEvent =
  | KnownEvent
  | (KnownEvent & { [extension: string]: KnownEvent['data'] | string | number | boolean | undefined })

/** The attributes of plain JSON events. An event with any other attribute is sent as a CloudEvent. */
const PLAIN = new Set(
  'specversion id source type time datacontenttype partitionkey correlationid causationid traceparent subject dataschema data'.split(
    ' ',
  ),
)

/**
 * An event that is already JSON. It is sent unchanged, so that the server sees the original numbers and names and not
 * what JavaScript makes of them.
 */
export class EventText implements SealedEvent {
  readonly id: string
  readonly json: string
  readonly type: unknown
  readonly partitionkey: unknown
  readonly isCloudEvent: boolean

  /**
   * Calls `makeId` for an id if the event has none.
   * @throws {SyntaxError} when it is not JSON @throws {TypeError} when it is not an object
   */
  constructor(json: string, makeId: (event: object) => string = v7) {
    const event: unknown = JSON.parse(json)
    if (!isObject(event)) throw new TypeError('it is not an event: an object with a type and data')
    // JSON allows a space wherever a line feed separates tokens, and a spool needs one line per event.
    const line = json.replaceAll('\n', ' ')
    this.id = event.id === undefined ? makeId(event) : String(event.id)
    this.json = event.id === undefined ? withMember(line, 'id', this.id, Object.keys(event).length === 0) : line
    this.type = event.type
    this.partitionkey = event.partitionkey
    this.isCloudEvent = isCloudEvent(event)
  }
}

/** The JSON of an object with one more member, in front. */
function withMember(json: string, name: string, value: string, isEmpty: boolean): string {
  return json.replace('{', () => `{${JSON.stringify(name)}:${JSON.stringify(value)}${isEmpty ? '' : ','}`)
}

const hasExtension = (event: object) => Object.keys(event).some((name) => !PLAIN.has(name))

/**
 * Whether to send the event as a CloudEvent. Without `specversion`, an unknown name is a mistake, and the server
 * refuses it.
 */
const isCloudEvent = (event: object) => 'specversion' in event && hasExtension(event)

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The outcome of an event. `id` is the server's id of the event, if the server answered: it differs from the id that
 * was sent if that is not a UUID, or if the source is not `/`.
 *
 * - `accepted`: the server has stored it.
 * - `duplicate`: the server already had it; after a retry this may be this client's own first try.
 * - `rejected`: the server will never accept it as it is.
 * - `undelivered`: there is no known fault in it, and it may or may not have arrived. Sending it again is safe.
 * - `spooled`: it is on this machine's disk and will be sent later (only from a producer with a spool).
 */
export type Delivery =
  | { status: 'accepted'; id: string }
  | { status: 'duplicate'; id: string }
  | { status: 'rejected'; id: string; error: EventRejected }
  | { status: 'undelivered'; id: string; error: Error }
  | { status: 'spooled'; id: string }

/** An event ready to send: its id and its bytes no longer change, also between retries. */
export interface SealedEvent {
  id: string
  json: string
  /** Whether it has attributes that only CloudEvents have. */
  isCloudEvent?: boolean
}

/**
 * Sends events to their destination; returns one delivery for each, in order. Does not throw: failures are deliveries
 * too.
 */
export type Deliver = (events: SealedEvent[], signal?: AbortSignal) => Promise<Delivery[]>

/**
 * Gives the event an id if it has none, and fixes its content. `name` is for errors.
 * @throws {TypeError} when JSON would lose or change a value in it; the message names the place
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

/** Parses what `seal` wrote. */
export function unseal(json: string): OutgoingEvent & { id: string } {
  return JSON.parse(json)
}

/** A sealed event from its JSON. */
export function sealedOf(json: string): SealedEvent {
  const event = unseal(json)
  return { id: event.id, json, ...(isCloudEvent(event) && { isCloudEvent: true }) }
}
