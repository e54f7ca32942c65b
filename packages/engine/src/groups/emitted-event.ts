/** What an emitted event must fulfil, and how emitted events are inserted. */
import { identityOf, type Payload, PermanentError, plainData, type RawEvent, UnavailableError } from '@eventflow/core'
import { type Acceptance, findRawEvents, insertRawEvents, type NewEvent, type Transaction } from '@eventflow/db'
import { sameContent } from '@eventflow/intake'
import { completePlans, planFor, type Registry, readData } from '@eventflow/schemas'
import type { Definitions } from '../process/definitions.js'
import { SettlingStoppedError } from '../settle/settle.js'

/** An event may lead to this many others, one after another: more are a loop. */
const MAX_HOPS = 16

export interface EmitDeps {
  definitions: Definitions
  schemas: Pick<Registry, 'versions' | 'load'>
  /** The number of partitions. */
  partitions: number
  /** The most data of an event, in bytes of JSON text. */
  eventLimitBytes: number
}

/** What is checked of an emitted event. */
interface Emitted {
  tenantId: string
  type: string
  data: unknown
  hops: number
}

/**
 * Checks an emitted event against the schema of its type and the limits. Resolves with a plain copy of its
 * data, and with that as JSON text. Rejects with PermanentError, whose message says what is wrong with "the emitted event", and with UnavailableError if a schema
 * could not be read.
 */
export async function checkEmitted(
  { tenantId, type, data: given, hops }: Emitted,
  deps: EmitDeps,
): Promise<{ data: Payload; payload: string }> {
  if (hops > MAX_HOPS) {
    throw new PermanentError(
      `would be event ${hops} of a chain of emitted events, and ${MAX_HOPS} are allowed: a loop?`,
    )
  }
  const definition = deps.definitions.get(type)
  if (!definition) throw new PermanentError('has a type without a definition')
  const data = plainData(given)
  const [plan] = await plansFor({ tenantId, type }, deps)
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
  return { data, payload }
}

/** Plans the check of its data; it waits only if a version of the schema is not cached. */
async function plansFor(subject: { tenantId: string; type: string }, { definitions, schemas }: EmitDeps) {
  const plan = planFor(subject, definitions.get(subject.type)!.contract, schemas.versions)
  if (!('wanted' in plan)) return [plan]
  return completePlans([plan], schemas.load).catch((cause) => {
    throw new UnavailableError('postgres', { cause })
  })
}

/** What a transaction inserted, to be announced after its COMMIT. */
export interface Inserted {
  events: RawEvent[]
  incarnation: number
}

/**
 * Inserts emitted events, if there are any. Those that were emitted before are skipped. Rejects with
 * SettlingStoppedError if one of these has other content.
 */
export async function insertEmitted(tx: Transaction, events: readonly NewEvent[]): Promise<Inserted | undefined> {
  if (events.length === 0) return undefined
  const { acceptances, incarnation } = await insertRawEvents(tx, events, { acceptedAt: 'clock' })
  const known = events.filter((event) => !acceptances.has(event))
  if (known.length > 0) await refuseConflicts(tx, known)
  return { events: announced(acceptances), incarnation }
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
    const cause = event.causationId === undefined ? '' : `, caused by ${event.causationId},`
    throw new SettlingStoppedError(
      `event ${event.id} of type '${event.type}'${cause} was emitted before with other content: ` +
        'reset the group with --emit new to emit its events as new ones',
    )
  }
}
