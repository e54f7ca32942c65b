/** The door: from what a producer sent to an event that can be stored, or to what is wrong with it. */
import {
  type AcceptedEvent,
  checkText,
  compileSchema,
  findUnstorable,
  type IncomingEvent,
  isUuid,
  type Problem,
  partitionOf,
  uuidOf,
} from '@eventflow/core'
import type { NewEvent } from '@eventflow/db'
import type { EventDefinition } from '@eventflow/pipeline'
import { Type } from '@sinclair/typebox'

const MAX_NAME_LENGTH = 200

const Name = (description: string) => Type.String({ minLength: 1, maxLength: MAX_NAME_LENGTH, description })

/** An event as it comes over HTTP. An attribute that is not listed is refused, since it would be lost. */
export const IncomingEventSchema = Type.Object(
  {
    specversion: Type.Optional(Type.Literal('1.0', { description: 'CloudEvents version' })),
    type: Name('Event type, such as `flight.completed`'),
    id: Type.Optional(
      Name('Unique within the tenant. A UUID, or any text, which is mapped to one. Made where missing'),
    ),
    source: Type.Optional(Name('Where the event comes from')),
    time: Type.Optional(
      Type.String({ format: 'date-time', description: 'Event time; the time of acceptance where missing' }),
    ),
    datacontenttype: Type.Optional(Type.Literal('application/json')),
    partitionkey: Type.Optional(Name('What order is kept by')),
    correlationid: Type.Optional(Name('Groups the events of one operation')),
    causationid: Type.Optional(Name('The event that caused this one')),
    traceparent: Type.Optional(
      Type.String({ pattern: '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$', description: 'W3C trace context' }),
    ),
    data: Type.Object({}, { additionalProperties: true, description: 'The event itself: any JSON object' }),
  },
  { additionalProperties: false },
)

const checkEnvelope = compileSchema(IncomingEventSchema)

/** The source of an event that names none. */
export const DEFAULT_SOURCE = '/'

/** What an event is given where the producer left it out. */
export interface AdmissionContext {
  tenantId: string
  correlationId: string | undefined
  traceparent: string | undefined
}

export interface Admission {
  definitions: ReadonlyMap<string, EventDefinition>
  partitions: number
  newId: () => string
  /** Bytes of an event's data as JSON text, at the most. */
  eventLimitBytes: number
}

/** The event that was admitted, or everything that is wrong with it. */
export type Admitted = { event: NewEvent } | { problems: Problem[]; tooLarge?: true }

/** Checks what a producer sent and completes it. */
export function admit(sent: unknown, context: AdmissionContext, admission: Admission): Admitted {
  if (sent instanceof Error) return { problems: [{ pointer: '', message: `is not valid JSON: ${sent.message}` }] }
  const problems = checkEnvelope(sent)
  if (problems.length > 0) return { problems }
  const unstorable = findUnstorable(sent)
  if (unstorable) return { problems: [unstorable] }
  const incoming = sent as IncomingEvent
  if (incoming.time !== undefined && !isStorableTime(incoming.time)) {
    return { problems: [{ pointer: '/time', message: 'is no moment between the years 1 and 9999' }] }
  }
  const payload = JSON.stringify(incoming.data)
  if (Buffer.byteLength(payload) > admission.eventLimitBytes) {
    const message = `is larger than ${admission.eventLimitBytes} bytes as JSON text`
    return { problems: [{ pointer: '/data', message }], tooLarge: true }
  }

  const { tenantId } = context
  const source = incoming.source ?? DEFAULT_SOURCE
  const id = eventIdOf(tenantId, source, incoming.id) ?? admission.newId()
  const key = incoming.partitionkey ?? derivedKey(incoming, admission.definitions.get(incoming.type)) ?? id
  if (key.length > MAX_NAME_LENGTH) {
    const message = `gives a key of ${key.length} characters; ${MAX_NAME_LENGTH} is the most`
    return { problems: [{ pointer: '/data', message }] }
  }
  return {
    event: {
      tenantId,
      id,
      type: incoming.type,
      source,
      key,
      partition: partitionOf(tenantId, key, admission.partitions),
      correlationId: incoming.correlationid ?? context.correlationId ?? id,
      payload,
      ...(incoming.id !== undefined && !isUuid(incoming.id) && { externalId: incoming.id }),
      ...(incoming.time !== undefined && { occurredAt: new Date(incoming.time).toISOString() }),
      ...(incoming.causationid !== undefined && { causationId: incoming.causationid }),
      ...optional('traceparent', incoming.traceparent ?? context.traceparent),
    },
  }
}

/** The event id that belongs to a producer's id: itself when it is a UUID, otherwise a UUIDv5. */
export function eventIdOf(tenantId: string, source: string, id: string): string
export function eventIdOf(tenantId: string, source: string, id: string | undefined): string | undefined
export function eventIdOf(tenantId: string, source: string, id: string | undefined): string | undefined {
  if (id === undefined) return undefined
  return isUuid(id) ? id.toLowerCase() : uuidOf(tenantId, source, id)
}

/** A key that cannot be told is no error here: data like that fails the schema in the worker, with a better message. */
function derivedKey({ data }: IncomingEvent, definition: EventDefinition | undefined): string | undefined {
  try {
    const key = definition?.key?.(data)
    return typeof key === 'string' && key.length > 0 && !checkText(key, '') ? key : undefined
  } catch {
    return undefined
  }
}

/** Whether Postgres can keep a time that has the form of RFC 3339; JavaScript knows no leap seconds. */
export function isStorableTime(time: string): boolean {
  const year = new Date(time).getUTCFullYear()
  return year >= 1 && year <= 9999
}

function optional<Name extends keyof AcceptedEvent>(name: Name, value: string | undefined) {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]: string })
}
