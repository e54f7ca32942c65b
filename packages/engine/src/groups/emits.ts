/** The events that handlers emit in one transaction of a consumer group. */
import {
  type AcceptedEvent,
  describeValue,
  failureOf,
  identityOf,
  PermanentError,
  partitionOf,
  readTime,
  UnavailableError,
  uuidOf,
} from '@eventflow/core'
import type { Generation, NewEvent } from '@eventflow/db'
import type { ConsumerTx, EmittedEvent } from '@eventflow/sdk'
import type { CompiledConsumer } from './consumers.js'
import { checkEmitted, type EmitDeps } from './emitted-event.js'

/** An event may emit this many. */
const MAX_EMITS = 100

/** `emit` as one call of a handler gets it. */
interface Emitting {
  emit: ConsumerTx['emit']
  /** Ends the call's right to emit. Rejects if one of its events was refused, also if the handler ignored that. */
  end(): Promise<void>
}

export interface Emits {
  /** For a call with these events; `name` names the function in errors. */
  lend(name: string, causes: readonly AcceptedEvent[]): Emitting
  /** What was emitted, in the order of the calls. */
  events(): NewEvent[]
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

    events: () => emitted.filter((event) => event !== undefined),
  }

  async function newEvent(event: EmittedEvent, source: AcceptedEvent, ordinal: number): Promise<NewEvent> {
    const { tenantId } = source
    const type = text(event.type, 'type')
    const hops = (source.hops ?? 0) + 1
    const { data, payload } = await checkEmitted({ tenantId, type, data: event.data, hops }, deps)
    const own = () => ownKey(deps.definitions.get(type)!.key?.(data))
    const key = text(event.key ?? consumer.key?.({ ...source }) ?? own() ?? source.key, 'key')
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
