/**
 * Processing: determines the outcome of each event of a batch. It writes nothing and does not throw: a problem with an
 * event becomes the outcome of that event and leaves the others alone.
 */
import {
  type AcceptedEvent,
  type Component,
  copyForRun,
  DEFAULT_RETRY_POLICY,
  type Delivery,
  describeValue,
  type Failure,
  failureOf,
  freezeParsed,
  isMissing,
  type Outcome,
  outcomeOfFailure,
  PermanentError,
  type Problem,
  problemsIn,
  UnavailableError,
} from '@eventflow/core'
import type { WorkerMetrics } from '@eventflow/runtime'
import { completePlans, type Plan, planFor, type Registry, readData } from '@eventflow/schemas'
import { answerOf, type Called, WrongAnswer, wrongAnswer } from '@eventflow/sdk/user-code'
import type { BatchTrace } from '../batch/trace.js'
import type { Candidate } from './candidate.js'
import type { CompiledDefinition, Definitions } from './definitions.js'
import { type Asking, enrichWith } from './enrich.js'

export interface ProcessDeps extends Omit<Asking, 'trace'> {
  definitions: Definitions
  schemas: Pick<Registry, 'versions' | 'load'>
  metrics: Pick<WorkerMetrics, 'unknownFields' | 'missingFields'>
  /** Returns a number in [0, 1), for the jitter of retries. */
  random: () => number
}

/** Resolves with the outcome of each delivery, in their order. Never rejects: a failure is an outcome. */
export async function processBatch(
  deliveries: readonly Delivery[],
  deps: ProcessDeps,
  trace: BatchTrace,
): Promise<Outcome[]> {
  const plans = await planReading(deliveries, deps)
  const candidates = deliveries.map((delivery, index) => checkSchema(delivery, plans[index], deps))
  await enrich(candidates, { ...deps, trace })
  for (const candidate of candidates) {
    checkRules(candidate)
    writeAsJson(candidate)
  }
  return candidates.map((candidate) => decide(candidate, deps.random()))
}

/** Determines how to read each event, depending on its schema version. Undefined if the event's type is not defined. */
async function planReading(
  deliveries: readonly Delivery[],
  { definitions, schemas }: ProcessDeps,
): Promise<readonly (Plan | Failure | undefined)[]> {
  const plans = deliveries.map((delivery) => {
    const definition = definitions.get(delivery.event.type)
    return definition && planFor(writtenAs(delivery), definition.contract, schemas.versions)
  })
  try {
    return await completePlans(plans, schemas.load)
  } catch (cause) {
    const unavailable = failureOf(new UnavailableError('postgres', { cause }), 'schema')
    return plans.map((plan) => (plan && 'wanted' in plan ? unavailable : plan))
  }
}

/** The event, with the schema version that a replay asked for, if any. */
const writtenAs = ({ event, schemaVersion }: Delivery) =>
  schemaVersion === undefined ? event : { ...event, schemaVersion }

function checkSchema(delivery: Delivery, plan: Plan | Failure | undefined, deps: ProcessDeps): Candidate {
  const { definitions, metrics } = deps
  const { event } = delivery
  const definition = definitions.get(event.type)
  const candidate: Candidate = { delivery, definition, event, payload: delivery.payload }
  if (!definition || !plan) {
    const error = new PermanentError(`no definition of the event type '${event.type}' is loaded`)
    return { ...candidate, failure: { ...failureOf(error, 'definition'), errorClass: 'UnknownType' } }
  }
  if ('failureType' in plan) return { ...candidate, failure: plan }
  const { type } = definition
  const reading = readData(type, event.data, plan, definition.contract)
  if ('failure' in reading) return { ...candidate, failure: reading.failure }
  if ('problems' in reading) {
    if (reading.problems.some(isMissing)) metrics.missingFields.inc({ type })
    return { ...candidate, failure: invalid('schema', 'SchemaError', reading.problems) }
  }
  if (reading.unknownFields > 0) metrics.unknownFields.inc({ type }, reading.unknownFields)
  if (reading.data !== event.data) {
    candidate.event = { ...event, data: reading.data }
    candidate.payload = JSON.stringify(reading.data)
  }
  // Frozen, so that users' functions cannot change data that other functions or the next attempt will see.
  if (runsUsersCode(definition)) freezeData(candidate.event)
  return candidate
}

const runsUsersCode = ({ enrich, validate, handle, handleBatch }: CompiledDefinition) =>
  (enrich && enrich.length > 0) || validate || handle || handleBatch

/** The event object itself is not frozen: each function gets a copy, which is cheaper. */
function freezeData({ data, extensions }: AcceptedEvent): void {
  freezeParsed(data)
  if (extensions) Object.freeze(extensions)
}

/**
 * Runs the enrichers of a type one after another, because each may use the additions of those before; different types
 * run concurrently.
 */
async function enrich(candidates: readonly Candidate[], asking: Asking): Promise<void> {
  const byDefinition = new Map<CompiledDefinition, Candidate[]>()
  for (const candidate of candidates) {
    if (!candidate.definition?.enrich?.length) continue
    const group = byDefinition.get(candidate.definition)
    if (group) group.push(candidate)
    else byDefinition.set(candidate.definition, [candidate])
  }
  await Promise.all(
    [...byDefinition].map(async ([{ type, enrich = [] }, group]) => {
      for (const enricher of enrich) {
        const valid = group.filter(({ failure }) => !failure)
        await enrichWith(enricher, type, valid, asking)
      }
    }),
  )
}

function checkRules(candidate: Candidate): void {
  const { definition, event, failure } = candidate
  if (failure || !definition?.validate) return
  const called: Called = { type: definition.type, name: 'validate', component: 'validate' }
  const answer = answerOf(called, () => definition.validate!(copyForRun(event)), EXPECTED_PROBLEMS, readProblems)
  if ('failure' in answer) candidate.failure = answer.failure
  else if (answer.value.length > 0) candidate.failure = invalid('validate', 'RuleViolation', answer.value)
}

const EXPECTED_PROBLEMS = 'a list of problems, each with the texts pointer and message, or [] where there are none'

function readProblems(answer: unknown): Problem[] {
  const problems = problemsIn(answer)
  if (problems) return problems
  if (!Array.isArray(answer)) throw wrongAnswer(answer, EXPECTED_PROBLEMS)
  const odd = answer.find((item) => !problemsIn([item]))
  throw new WrongAnswer(`a list with ${describeValue(odd)} in it`, EXPECTED_PROBLEMS)
}

/** Reuses the stored text if possible: serializing the data again would cost half of the worker's own CPU time. */
function writeAsJson(candidate: Candidate): void {
  const { delivery, event, payload, additions, failure } = candidate
  if (failure || !additions) return
  const added = JSON.stringify(additions)
  const takesOut = Object.values(additions).includes(undefined)
  if (takesOut || Object.keys(delivery.event.data).length === 0 || payload === '{}')
    candidate.payload = JSON.stringify(event.data)
  else if (added !== '{}') candidate.payload = `${payload.slice(0, payload.lastIndexOf('}'))},${added.slice(1)}`
}

function decide(candidate: Candidate, random: number): Outcome {
  const { delivery, definition, event, payload, failure } = candidate
  if (!failure) return { kind: 'processed', delivery, data: event.data, payload }
  return outcomeOfFailure(delivery, failure, definition?.retry ?? DEFAULT_RETRY_POLICY, random)
}

function invalid(component: Component, errorClass: string, problems: readonly Problem[]): Failure {
  const message = problems.map((problem) => `${problem.pointer || 'the event'} ${problem.message}`).join('; ')
  return { component, failureType: 'permanent', errorClass, message, problems: [...problems] }
}
