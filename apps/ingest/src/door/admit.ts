/** The door: converts what a producer sent to an event that can be stored, or to the problems with it. */
import {
  type AcceptedEvent,
  compileSchema,
  DEFAULT_SOURCE,
  type Extensions,
  eventIdOf,
  type IncomingEvent,
  type Payload,
  type Problem,
  partitionOf,
  pointerTo,
  type ReadTime,
  readTime,
  uuidOf,
} from '@eventflow/core'
import type { NewEvent } from '@eventflow/db'
import { statedVersion } from '@eventflow/schemas'
import type { EventDefinition } from '@eventflow/sdk'
import { Type } from '@sinclair/typebox'
import type { Form } from '../http/cloud-event.js'
import { Flawed } from '../http/exact-json.js'
import { readMediaType } from '../http/media-type.js'
import { TRACEPARENT } from '../http/request.js'
import { derivedKey } from './derived-key.js'

const MAX_NAME_LENGTH = 200
const MAX_EXTENSION_LENGTH = 1_000

const Name = (description: string) => Type.String({ minLength: 1, maxLength: MAX_NAME_LENGTH, description })

/** For extensions, which have no meaning to EventFlow. */
const Text = (description: string) => Type.String({ minLength: 1, maxLength: MAX_EXTENSION_LENGTH, description })

const attributes = {
  type: Name('Event type, such as `flight.completed`'),
  time: Type.Optional(
    Type.String({ format: 'date-time', description: 'Event time; the default is the time of acceptance' }),
  ),
  datacontenttype: Type.Optional(Name('The media type of `data`: application/json, in UTF-8')),
  partitionkey: Type.Optional(Name('The ordering key')),
  correlationid: Type.Optional(Name('Groups the events of one operation')),
  causationid: Type.Optional(Name('The event that caused this one')),
  traceparent: Type.Optional(Type.String({ pattern: TRACEPARENT.source, description: 'W3C trace context' })),
  subject: Type.Optional(Text('What the event is about')),
  dataschema: Type.Optional(Text('Address of the schema of the data')),
  data: Type.Object({}, { additionalProperties: true, description: 'The event itself: any JSON object' }),
}

const SpecVersion = Type.Literal('1.0', { description: 'CloudEvents version' })
const ID = 'A UUID or any text. Unique within its source: both together identify the event'
const Source = Name('Where the event comes from')

/** An event in plain JSON. An unknown attribute is refused, because it is most likely misspelt. */
export const IncomingEventSchema = Type.Object(
  {
    specversion: Type.Optional(SpecVersion),
    id: Type.Optional(Name(`${ID}. Generated if missing`)),
    source: Type.Optional(Source),
    ...attributes,
  },
  { additionalProperties: false },
)

/** A CloudEvent, which may have extension attributes. */
export const CloudEventSchema = Type.Object(
  { specversion: SpecVersion, id: Name(ID), source: Source, ...attributes },
  {
    additionalProperties: Type.Unsafe<string | boolean | number>({
      type: ['string', 'boolean', 'integer'],
      maxLength: MAX_EXTENSION_LENGTH,
      description: 'An extension attribute. Its name may contain only lower-case letters and digits',
    }),
    maxProperties: 50,
  },
)

// `readTime` checks times in more detail.
const elsewhere = ['date-time']
const checks = {
  plain: compileSchema(IncomingEventSchema, { elsewhere }),
  cloudevent: compileSchema(CloudEventSchema, { elsewhere }),
}

/** The attributes that have a separate column, or need none. */
const OWN = new Set([
  ...['specversion', 'datacontenttype', 'type', 'id', 'source', 'time', 'partitionkey'],
  ...['correlationid', 'causationid', 'traceparent', 'data'],
])

/** The "source" of ids that are derived from an Idempotency-Key: no producer can send it, because it contains a NUL. */
const IDEMPOTENCY_KEY = 'idempotency-key\0'

/** Values for what the producer left out. */
export interface AdmissionContext {
  tenantId: string
  correlationId: string | undefined
  traceparent: string | undefined
  /** Gives an event without an id the same id each time. */
  idempotencyKey: string | undefined
}

export interface Admission {
  definitions: ReadonlyMap<string, EventDefinition>
  partitions: number
  newId: () => string
  /** In milliseconds since 1970. */
  now: () => number
  /** The most bytes of an event's data as JSON text. */
  eventLimitBytes: number
  /** How far an event's time may be ahead of the clock and, unless 0, behind it. */
  maxFutureMs: number
  maxAgeMs: number
  /** Called for each event that is refused because the key function of its type is at fault. */
  onKeyMistake: (type: string) => void
}

/** The problems with an event. `misfit`: only its data is wrong, because it does not fit the definition of its type. */
export interface Invalid {
  problems: readonly Problem[]
  tooLarge?: true
  misfit?: true
}

/** An admitted event, its parsed data, and whether its id comes from the Idempotency-Key. */
export interface Taken {
  event: NewEvent
  /** The size of its data as JSON text. */
  bytes: number
  data: Payload
  keyed: boolean
}

/** The result for an event at the door. */
export type Admitted = Taken | Invalid

/**
 * Checks and completes what a producer sent, as `parseExactly` or the headers gave it. Problems are returned, not
 * thrown.
 */
export function admit(sent: unknown, form: Form, context: AdmissionContext, admission: Admission): Admitted {
  if (sent instanceof Flawed) return sent
  const problems = checks[form](sent)
  if (problems.length > 0) return { problems }
  const incoming = sent as IncomingEvent
  const extensions = extensionsOf(incoming)
  const time = incoming.time === undefined ? undefined : readTime(incoming.time)
  const wrong =
    checkNames(extensions) ?? checkContentType(incoming.datacontenttype) ?? (time && checkTime(time, admission))
  if (wrong) return { problems: [wrong] }
  const payload = JSON.stringify(incoming.data)
  const bytes = Buffer.byteLength(payload)
  if (bytes > admission.eventLimitBytes) {
    const message = `is larger than ${admission.eventLimitBytes} bytes as JSON text`
    return { problems: [{ pointer: '/data', message }], tooLarge: true }
  }

  const { tenantId } = context
  const source = incoming.source ?? DEFAULT_SOURCE
  const keyed = incoming.id === undefined && context.idempotencyKey !== undefined
  const id =
    incoming.id !== undefined
      ? eventIdOf(tenantId, source, incoming.id)
      : keyed
        ? uuidOf(tenantId, IDEMPOTENCY_KEY, context.idempotencyKey!)
        : admission.newId()
  const definition = admission.definitions.get(incoming.type)
  const derived =
    incoming.partitionkey === undefined
      ? derivedKey(incoming.data, statedVersion({ type: incoming.type, extensions }) !== undefined, definition)
      : undefined
  if (typeof derived === 'object') {
    admission.onKeyMistake(incoming.type)
    return { problems: [derived], misfit: true }
  }
  const key = incoming.partitionkey ?? derived ?? id
  if (key.length > MAX_NAME_LENGTH) {
    const message = `gives a key of ${key.length} characters; the limit is ${MAX_NAME_LENGTH}`
    return { problems: [{ pointer: '/data', message }] }
  }
  return {
    keyed,
    bytes,
    data: incoming.data,
    event: {
      tenantId,
      id,
      type: incoming.type,
      source,
      key,
      partition: partitionOf(tenantId, key, admission.partitions),
      correlationId: incoming.correlationid ?? context.correlationId ?? id,
      payload,
      ...(incoming.id !== undefined && incoming.id.toLowerCase() !== id && { externalId: incoming.id }),
      ...(time?.time !== undefined && { occurredAt: time.time }),
      ...(incoming.causationid !== undefined && { causationId: incoming.causationid }),
      ...optional('traceparent', incoming.traceparent ?? context.traceparent),
      ...(extensions && { extensions }),
    },
  }
}

function extensionsOf(incoming: IncomingEvent): Extensions | undefined {
  const names = Object.keys(incoming).filter((name) => !OWN.has(name))
  if (names.length === 0) return undefined
  return Object.fromEntries(names.map((name) => [name, incoming[name as keyof IncomingEvent] as string]))
}

function checkNames(extensions: Extensions = {}): Problem | undefined {
  const wrong = Object.keys(extensions).find((name) => !/^[a-z0-9]{1,50}$/.test(name))
  if (wrong === undefined) return undefined
  return {
    pointer: pointerTo('', wrong.slice(0, MAX_NAME_LENGTH)),
    message: 'is not an attribute name: 1 to 50 characters of a-z and 0-9',
  }
}

function checkContentType(sent: string | undefined): Problem | undefined {
  if (sent === undefined || sent === 'application/json') return undefined
  const { type, isUtf8 } = readMediaType(sent.trim()) ?? {}
  if (type === 'application/json' && isUtf8) return undefined
  return { pointer: '/datacontenttype', message: 'must be application/json, in UTF-8' }
}

function checkTime({ time, fault }: ReadTime, { now, maxFutureMs, maxAgeMs }: Admission): Problem | undefined {
  const problem = (message: string) => ({ pointer: '/time', message })
  if (fault !== undefined) return problem(fault)
  const ahead = Date.parse(time) - now()
  if (ahead > maxFutureMs) return problem(`is more than ${maxFutureMs / 60_000} minutes ahead of the server clock`)
  if (maxAgeMs > 0 && -ahead > maxAgeMs) return problem(`is more than ${maxAgeMs / 86_400_000} days ago`)
  return undefined
}

function optional<Name extends keyof AcceptedEvent>(name: Name, value: string | undefined) {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]: string })
}
