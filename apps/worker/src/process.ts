/**
 * Processing: what becomes of each event of a batch. Nothing is written here and nothing is thrown: whatever is wrong
 * with an event is its outcome, and its neighbours are not touched.
 */
import {
  type AcceptedEvent,
  bisect,
  DEFAULT_RETRY_POLICY,
  type Delivery,
  type Failure,
  failureOf,
  isMissing,
  isUnavailable,
  type Outcome,
  outcomeOfFailure,
  type Payload,
  PermanentError,
  type Problem,
  UnavailableError,
} from '@eventflow/core'
import type { EnrichContext, Enricher } from '@eventflow/pipeline'
import type { WorkerMetrics } from '@eventflow/runtime'
import { type Registry, readData, wantedVersion } from '@eventflow/schemas'
import type { CompiledDefinition, Definitions } from './definitions.js'
import type { BatchTrace } from './trace.js'

export interface ProcessDeps {
  definitions: Definitions
  schemas: Pick<Registry, 'versions' | 'load'>
  metrics: Pick<WorkerMetrics, 'unknownFields' | 'missingFields'>
  context: EnrichContext
  /** In [0, 1): spreads the retries. */
  random: () => number
}

/** An event on its way through the steps; once it has failed, the later steps pass it by. */
interface Candidate {
  delivery: Delivery
  definition: CompiledDefinition | undefined
  /** The event with its data as far as the steps have come: the delivery's own until one of them changes it. */
  event: AcceptedEvent
  /** The event's data as JSON text; for the time being without what the enrichers added. */
  payload: string
  additions?: Payload
  failure?: Failure
}

/** The outcome of each delivery, in order. */
export async function processBatch(
  deliveries: readonly Delivery[],
  deps: ProcessDeps,
  trace?: BatchTrace,
): Promise<Outcome[]> {
  const unavailable = await loadSchemas(deliveries, deps)
  const candidates = deliveries.map((delivery) => checkSchema(delivery, deps, unavailable))
  await enrich(candidates, deps.context, trace)
  for (const candidate of candidates) {
    checkRules(candidate)
    writeAsJson(candidate)
  }
  return candidates.map((candidate) => decide(candidate, deps.random()))
}

/** Loads the versions that these events need and that are not at hand: as a rule none. Gives why it could not. */
async function loadSchemas(deliveries: readonly Delivery[], deps: ProcessDeps): Promise<Failure | undefined> {
  const { definitions, schemas } = deps
  const wanted = deliveries.flatMap((delivery) => {
    const definition = definitions.get(delivery.event.type)
    return (definition && wantedVersion(writtenAs(delivery), definition.contract, schemas.versions)) ?? []
  })
  if (wanted.length === 0) return undefined
  try {
    await schemas.load(wanted)
    return undefined
  } catch (cause) {
    return failureOf(new UnavailableError('postgres', { cause }), 'schema')
  }
}

/** The event as one of the version that a replay asked for, where one did. */
const writtenAs = ({ event, schemaVersion }: Delivery) =>
  schemaVersion === undefined ? event : { ...event, schemaVersion }

/** `unavailable`: why versions that are not at hand could not be loaded. */
function checkSchema(delivery: Delivery, deps: ProcessDeps, unavailable: Failure | undefined): Candidate {
  const { definitions, schemas, metrics } = deps
  const { event } = delivery
  const definition = definitions.get(event.type)
  const candidate: Candidate = { delivery, definition, event, payload: delivery.payload }
  if (!definition) {
    const error = new PermanentError(`no definition of the event type '${event.type}' is loaded`)
    return { ...candidate, failure: { ...failureOf(error, 'definition'), errorClass: 'UnknownType' } }
  }
  const { type, contract } = definition
  const written = writtenAs(delivery)
  if (unavailable && wantedVersion(written, contract, schemas.versions)) return { ...candidate, failure: unavailable }
  const reading = readData(written, event.data, contract, schemas.versions)
  if ('failure' in reading) return { ...candidate, failure: reading.failure }
  if ('problems' in reading) {
    if (reading.problems.some(isMissing)) metrics.missingFields.inc({ type })
    return { ...candidate, failure: invalid('schema', 'SchemaError', reading.problems) }
  }
  if (reading.unknownFields > 0) metrics.unknownFields.inc({ type }, reading.unknownFields)
  if (reading.data === event.data) return candidate
  return { ...candidate, event: { ...event, data: reading.data }, payload: JSON.stringify(reading.data) }
}

/** Each type's enrichers one after the other, since each may use what those before it added; the types side by side. */
async function enrich(
  candidates: readonly Candidate[],
  context: EnrichContext,
  trace: BatchTrace | undefined,
): Promise<void> {
  const byDefinition = new Map<CompiledDefinition, Candidate[]>()
  for (const candidate of candidates) {
    if (!candidate.definition?.enrich?.length) continue
    const group = byDefinition.get(candidate.definition)
    if (group) group.push(candidate)
    else byDefinition.set(candidate.definition, [candidate])
  }
  await Promise.all(
    [...byDefinition].map(async ([definition, group]) => {
      for (const enricher of definition.enrich ?? []) {
        await runEnricher(
          enricher,
          group.filter(({ failure }) => !failure),
          context,
          trace,
        )
      }
    }),
  )
}

async function runEnricher(
  enricher: Enricher,
  candidates: readonly Candidate[],
  context: EnrichContext,
  trace: BatchTrace | undefined,
): Promise<void> {
  const component = `enrich:${enricher.name}`
  const enrichPart = async (part: readonly Candidate[]) => {
    // Copies, because nobody knows what their code does to them.
    const events = part.map(({ event }) => ({ ...event }))
    const ask = () => enricher.enrich(events, context)
    const additions = await (trace ? trace.enrich(enricher.name, ask) : ask())
    if (additions.length !== part.length) {
      throw new PermanentError(
        `enricher '${enricher.name}' answered ${additions.length} additions for ${part.length} events`,
      )
    }
    part.forEach((candidate, i) => {
      const addition = additions[i]!
      if (addition instanceof Error) candidate.failure = failureOf(addition, component)
      else add(candidate, addition)
    })
  }
  const failOne = (candidate: Candidate, error: unknown) => {
    candidate.failure = failureOf(error, component)
  }
  try {
    await bisect(candidates, enrichPart, failOne, (error) => !isUnavailable(error))
  } catch (unavailable) {
    // Halving would only ask the same dead dependency again. What was enriched before it failed is enriched again later.
    for (const candidate of candidates) candidate.failure ??= failureOf(unavailable, component)
  }
}

function add(candidate: Candidate, addition: Payload): void {
  const { event } = candidate
  // Spreading both would take ten times as long.
  candidate.event = { ...event, data: Object.assign({}, event.data, addition) }
  candidate.additions = candidate.additions ? Object.assign({}, candidate.additions, addition) : addition
}

function checkRules(candidate: Candidate): void {
  const { definition, event, failure } = candidate
  if (failure || !definition?.validate) return
  try {
    const problems = definition.validate({ ...event })
    if (problems.length > 0) candidate.failure = invalid('validate', 'RuleViolation', problems)
  } catch (error) {
    candidate.failure = failureOf(error, 'validate')
  }
}

/** The text that was stored is passed on: writing it anew would be half of the worker's own work. */
function writeAsJson(candidate: Candidate): void {
  const { delivery, event, payload, additions, failure } = candidate
  if (failure || !additions) return
  try {
    const added = JSON.stringify(additions)
    const takesOut = Object.values(additions).includes(undefined)
    if (takesOut || Object.keys(delivery.event.data).length === 0 || payload === '{}')
      candidate.payload = JSON.stringify(event.data)
    else if (added !== '{}') candidate.payload = `${payload.slice(0, payload.lastIndexOf('}'))},${added.slice(1)}`
  } catch (error) {
    candidate.failure = { ...failureOf(error, 'enrich'), failureType: 'permanent' }
  }
}

function decide(candidate: Candidate, random: number): Outcome {
  const { delivery, definition, event, payload, failure } = candidate
  if (!failure) return { kind: 'commit', delivery, data: event.data, payload }
  return outcomeOfFailure(delivery, failure, definition?.retry ?? DEFAULT_RETRY_POLICY, random)
}

function invalid(component: string, errorClass: string, problems: readonly Problem[]): Failure {
  const message = problems.map((problem) => `${problem.pointer || 'the event'} ${problem.message}`).join('; ')
  return { component, failureType: 'permanent', errorClass, message, problems: [...problems] }
}
