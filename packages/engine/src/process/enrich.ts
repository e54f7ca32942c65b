/**
 * Enrichment: each enricher is called for a whole batch. Its answer is added to the events or becomes their failure.
 */
import {
  bisect,
  copyForRun,
  type Failure,
  failureOf,
  isError,
  isPromiseLike,
  NotPlainError,
  type Payload,
  plainData,
} from '@eventflow/core'
import type { EnrichContext, Enricher } from '@eventflow/sdk'
import { type Answer, answerInTime, type Called, WrongAnswer, wrongAnswer } from '@eventflow/sdk/user-code'
import type { BatchTrace } from '../batch/trace.js'
import type { Candidate } from './candidate.js'

/** The options of calls to enrichers. */
export interface Asking {
  context: EnrichContext
  /** The time limit of one call, in milliseconds. */
  enrichTimeoutMs: number
  /** Ends the current calls when the worker must stop and cannot wait for them. */
  abandon: AbortSignal | undefined
  trace: BatchTrace
}

/** A call failed for all its events. */
class CallFailed extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message)
  }
}

/** How many events are asked for concurrently, each by its own call, after a call for all of them timed out. */
const ALONE_AT_ONCE = 50

/**
 * Calls one enricher for these events and adds its answers, or failures, to them. Never rejects. If a call fails, the
 * batch is halved until the event at fault is found. If a call times out, or halving takes longer than one call may,
 * each event is asked for separately, so that none fails because of another. All of that takes at most four times the
 * limit.
 */
export async function enrichWith(
  enricher: Enricher,
  type: string,
  candidates: readonly Candidate[],
  asking: Asking,
): Promise<void> {
  const called: Called = { type, name: `enricher '${enricher.name}'`, component: `enrich:${enricher.name}` }
  const limitMs = asking.enrichTimeoutMs
  const searchUntil = performance.now() + limitMs
  /** The latest start of a call for a single event. */
  let lastStart: number | undefined

  async function ask(part: readonly Candidate[]): Promise<void> {
    if (performance.now() > searchUntil) return askForEach(part)
    const answer = await call(part)
    if ('value' in answer) return take(part, answer.value)
    if (answer.failure.errorClass !== 'Timeout' || part.length === 1) throw new CallFailed(answer.failure)
    await askForEach(part)
  }

  async function askAlone(candidate: Candidate): Promise<void> {
    const answer = await call([candidate])
    if ('value' in answer) take([candidate], answer.value)
    else candidate.failure = answer.failure
  }

  function call(part: readonly Candidate[]): Promise<Answer<Answer<Payload>[]>> {
    const events = part.map(({ event }) => copyForRun(event))
    const enrich = () => enricher.enrich(events, asking.context)
    const { trace, abandon } = asking
    return answerInTime(
      called,
      limitMs,
      () => trace.enrich(enricher.name, enrich),
      (answer) => additionsIn(answer, part.length, called),
      abandon,
    )
  }

  async function askForEach(part: readonly Candidate[]): Promise<void> {
    lastStart ??= performance.now() + limitMs
    const startUntil = lastStart
    const queue = part.values()
    const next = async () => {
      for (const candidate of queue) {
        if (performance.now() > startUntil) candidate.failure = notCalled(called)
        else await askAlone(candidate)
      }
    }
    await Promise.all(Array.from({ length: Math.min(ALONE_AT_ONCE, part.length) }, next))
  }

  const failureIn = (error: unknown) =>
    error instanceof CallFailed ? error.failure : failureOf(error, called.component)
  const failOne = (candidate: Candidate, error: unknown) => {
    candidate.failure = failureIn(error)
  }
  try {
    await bisect(candidates, ask, failOne, (error) => failureIn(error).failureType !== 'unavailable')
  } catch (unavailable) {
    // Halving would only call the same failing dependency again. What was already enriched is enriched again in the
    // next attempt.
    for (const candidate of candidates) candidate.failure ??= failureIn(unavailable)
  }
}

/** The event waits, and no attempt is charged, because it was not tried. */
function notCalled({ type, name, component }: Called): Failure {
  const message = `${name} of '${type}' was not called: the calls for other events took too long`
  return { component, failureType: 'unavailable', errorClass: 'Timeout', message, problems: [] }
}

function take(part: readonly Candidate[], additions: readonly Answer<Payload>[]): void {
  part.forEach((candidate, i) => {
    const addition = additions[i]!
    if ('failure' in addition) candidate.failure = addition.failure
    else add(candidate, addition.value)
  })
}

function add(candidate: Candidate, addition: Payload): void {
  const { event, additions } = candidate
  // Faster than the spread operator.
  candidate.event = { ...event, data: Object.assign({}, event.data, addition) }
  candidate.additions = additions ? Object.assign({}, additions, addition) : addition
}

const EXPECTED = 'an array with one addition for each event'

/** Reads the additions in an enricher's answer. Promises are awaited; one that rejects fails only its own event. */
function additionsIn(answer: unknown, events: number, called: Called): Answer<Payload>[] | Promise<Answer<Payload>[]> {
  if (!Array.isArray(answer)) throw wrongAnswer(answer, EXPECTED)
  if (answer.length !== events) throw new WrongAnswer(`${answer.length} additions for ${events} events`, EXPECTED)
  const items: unknown[] = Array.from(answer)
  const read = (item: unknown, index: number) => additionIn(item, index, called)
  if (!items.some(isPromiseLike)) return items.map(read)
  return Promise.all(
    items.map(async (item, index) => {
      try {
        return read(await item, index)
      } catch (error) {
        return { failure: failureOf(error, called.component) }
      }
    }),
  )
}

function additionIn(item: unknown, index: number, called: Called): Answer<Payload> {
  try {
    if (isError(item)) return { failure: failureOf(item, called.component) }
    return { value: plainData(item) }
  } catch (error) {
    if (!(error instanceof NotPlainError)) return { failure: failureOf(error, called.component) }
    const { type, name, component } = called
    const expected = 'a plain object that JSON can hold, or an Error'
    const message = `${name} of '${type}' answered ${error.message} as addition ${index}; expected ${expected}`
    return { failure: { component, failureType: 'permanent', errorClass: 'WrongAnswer', message, problems: [] } }
  }
}
