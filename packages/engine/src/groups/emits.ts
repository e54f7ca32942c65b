/** The events that handlers emit in one transaction of a consumer group. */
import {
  type AcceptedEvent,
  describeValue,
  failureOf,
  identityOf,
  PermanentError,
  partitionOf,
  plainData,
  type RawEvent,
  readTime,
  UnavailableError,
  uuidOf,
} from '@eventflow/core'
import {
  type Acceptance,
  findRawEvents,
  type Generation,
  insertRawEvents,
  type NewEvent,
  type Transaction,
} from '@eventflow/db'
import { sameContent } from '@eventflow/intake'
import { completePlans, planFor, type Registry, readData } from '@eventflow/schemas'
import type { ConsumerTx, EmittedEvent } from '@eventflow/sdk'
import type { Definitions } from '../process/definitions.js'
import type { CompiledConsumer } from './consumers.js'

/** An event may lead to this many others, one after another: more are a loop. */
const MAX_HOPS = 16

/** An event may emit this many. */
const MAX_EMITS = 100

export interface EmitDeps {
  definitions: Definitions
  schemas: Pick<Registry, 'versions' | 'load'>
  /** The number of partitions. */
  partitions: number
  /** The most data of an event, in bytes of JSON text. */
  eventLimitBytes: number
}

/** An event that was emitted before has the same id and other content. */
export class EmitConflictError extends Error {
  override name = 'EmitConflictError'
}

/** `emit` as one call of a handler gets it. */
interface Emitting {
  emit: ConsumerTx['emit']
  /** Ends the call's right to emit. Rejects if one of its events was refused, also if the handler ignored that. */
  end(): Promise<void>
}

export interface Emits {
  /** For a call with these events; `name` names the function in errors. */
  lend(name: string, causes: readonly AcceptedEvent[]): Emitting
  /** Inserts what was emitted, if anything was. Rejects with EmitConflictError. */
  insert(tx: Transaction): Promise<Inserted | undefined>
}

/** What a transaction inserted, to be announced after its COMMIT. */
export interface Inserted {
  events: RawEvent[]
  incarnation: number
}

/** Creates the collection for one transaction. */
export function createEmits(consumer: CompiledConsumer, generation: Generation, deps: EmitDeps): Emits {
  const emitted: (NewEvent | undefined)[] = []
  const counts = new Map<string, number>()

  return {
    lend(name, causes) {
      let isOver = false
      const pending: Promise<void>[] = []

      async function emit(event: EmittedEvent, cause?: AcceptedEvent): Promise<void> {
        if (isOver) throw new PermanentError(`tx.emit was called after ${name} had returned: await it`)
        const source = causeOf(causes, cause)
        const id = identityOf(source)
        const ordinal = counts.get(id) ?? 0
        counts.set(id, ordinal + 1)
        if (ordinal >= MAX_EMITS) throw new PermanentError(`emitted more than ${MAX_EMITS} events for one event`)
        // Its place is taken before anything is awaited: events are accepted in the order of the calls.
        const place = emitted.push(undefined) - 1
        emitted[place] = await newEvent(event, source, ordinal)
      }

      return {
        emit(event, cause) {
          const done = emit(event, cause).catch((error) => {
            throw named(error, name, event)
          })
          // The failure is seen by `end`, so it may stay unhandled here; otherwise it would end the process.
          done.catch(() => {})
          pending.push(done)
          return done
        },
        async end() {
          isOver = true
          await Promise.all(pending)
        },
      }
    },

    async insert(tx) {
      const events = emitted.filter((event) => event !== undefined)
      if (events.length === 0) return undefined
      const { acceptances, incarnation } = await insertRawEvents(tx, events, { acceptedAt: 'clock' })
      const known = events.filter((event) => !acceptances.has(event))
      if (known.length > 0) await refuseConflicts(tx, known)
      return { events: announced(acceptances), incarnation }
    },
  }

  async function newEvent(event: EmittedEvent, source: AcceptedEvent, ordinal: number): Promise<NewEvent> {
    const { tenantId } = source
    const type = text(event.type, 'type')
    const hops = (source.hops ?? 0) + 1
    if (hops > MAX_HOPS) {
      throw new PermanentError(
        `would be event ${hops} of a chain of emitted events, and ${MAX_HOPS} are allowed: a loop?`,
      )
    }
    const definition = deps.definitions.get(type)
    if (!definition) throw new PermanentError('has a type without a definition')
    const data = plainData(event.data)
    const [plan] = await plansFor({ tenantId, type })
    const reading = readData(type, data, plan!, definition.contract)
    if ('failure' in reading) throw new PermanentError(reading.failure.message)
    if ('problems' in reading) {
      const { problems } = reading
      const message = problems.map((problem) => `${problem.pointer || 'the data'} ${problem.message}`).join('; ')
      throw new PermanentError(`does not fit the schema of its type: ${message}`, { problems })
    }
    const payload = JSON.stringify(data)
    const bytes = Buffer.byteLength(payload)
    if (bytes > deps.eventLimitBytes) {
      throw new PermanentError(`has ${bytes} bytes of data, and ${deps.eventLimitBytes} are allowed`)
    }
    const key = text(event.key ?? consumer.key?.({ ...source }) ?? ownKey(definition.key?.(data)) ?? source.key, 'key')
    return {
      tenantId,
      id: uuidOf(tenantId, `group:${generation.groupId}:${generation.generation}`, `${source.id}:${ordinal}`),
      type,
      source: event.source === undefined ? `/groups/${consumer.name}` : text(event.source, 'source'),
      key,
      partition: partitionOf(tenantId, key, deps.partitions),
      occurredAt: event.time === undefined ? source.occurredAt : time(event.time),
      correlationId: source.correlationId,
      causationId: source.id,
      ...(source.traceparent !== undefined && { traceparent: source.traceparent }),
      hops,
      payload,
    }
  }

  /** Plans the check of its data; it waits only if a version of the schema is not cached. */
  async function plansFor(subject: { tenantId: string; type: string }) {
    const plan = planFor(subject, deps.definitions.get(subject.type)!.contract, deps.schemas.versions)
    if (!('wanted' in plan)) return [plan]
    return completePlans([plan], deps.schemas.load).catch((cause) => {
      throw new UnavailableError('postgres', { cause })
    })
  }
}

/** The event that leads to an emitted one. */
function causeOf(causes: readonly AcceptedEvent[], cause: AcceptedEvent | undefined): AcceptedEvent {
  const [only, ...others] = causes
  if (cause === undefined && others.length === 0) return only!
  if (cause === undefined) throw new PermanentError('needs a second argument: the event of the batch that leads to it')
  const found = causes.find((event) => event.seq === cause.seq && event.id === cause.id)
  if (!found) throw new PermanentError('names a cause that is no event of this batch')
  return found
}

const MAX_TEXT = 200

function text(value: unknown, what: string): string {
  if (
    typeof value !== 'string' ||
    value === '' ||
    value.length > MAX_TEXT ||
    !value.isWellFormed() ||
    value.includes('\0')
  )
    throw new PermanentError(`needs a ${what} of 1 to ${MAX_TEXT} characters, not ${describeValue(value)}`)
  return value
}

function time(value: unknown): string {
  const { time, fault } = readTime(typeof value === 'string' ? value : '')
  if (fault) throw new PermanentError(`has a time that ${fault}`)
  return time!
}

const ownKey = (key: unknown) => (typeof key === 'number' || typeof key === 'bigint' ? String(key) : (key as string))

/** Puts the name of the function and the type in front of the message of a refusal. */
function named(error: unknown, name: string, event: unknown): unknown {
  if (error instanceof UnavailableError) return error
  const { message, problems } = failureOf(error, 'handle')
  const type = describeValue((event as EmittedEvent | undefined)?.type)
  return new PermanentError(`${name}: the emitted event of type ${type} ${message}`, { problems, cause: error })
}

/** Those of the new events, in the order of acceptance. */
function announced(acceptances: ReadonlyMap<NewEvent, Acceptance>): RawEvent[] {
  return [...acceptances]
    .map(([event, acceptance]) => ({ ...event, ...acceptance, occurredAt: event.occurredAt! }))
    .sort((a, b) => a.seq - b.seq)
}

/** Events that were emitted before are skipped, if their content is the same. */
async function refuseConflicts(tx: Transaction, events: readonly NewEvent[]): Promise<void> {
  const stored = await findRawEvents(tx, events)
  for (const event of events) {
    const known = stored.get(identityOf(event))
    if (known === undefined || known === 'removed' || sameContent(event, known.event)) continue
    throw new EmitConflictError(
      `event ${event.id} of type '${event.type}', caused by ${event.causationId}, was emitted before with other content: ` +
        'reset the group with --emit new to emit its events as new ones',
    )
  }
}
