/**
 * Enrichment: each enricher is asked for a whole batch, and what it answers is added to the events, or is their
 * failure.
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

/** How enrichers are asked. */
export interface Asking {
  context: EnrichContext
  /** How long one call may take, in milliseconds. */
  enrichTimeoutMs: number
  /** Ends the calls that are under way, when the worker cannot wait for them any longer. */
  abandon: AbortSignal | undefined
  trace: BatchTrace
}

/** A call failed as a whole. */
class CallFailed extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message)
  }
}

/** Events that are asked for at the same time, each alone, after a call for all of them did not end. */
const ALONE_AT_ONCE = 50

/**
 * Asks one enricher for these events. Where a call fails, the event at fault is looked for by halving; where a call
 * does not end in time, or the search takes as long as a call may, each event is asked for alone, so that none suffers
 * for its neighbours: all of that takes four times the limit at most.
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
  /** When the last call for one alone may begin. */
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
        if (performance.now() > startUntil) candidate.failure = notAsked(called)
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
    // Halving would only ask the same dead dependency again. What was enriched before it failed is enriched again
    // later.
    for (const candidate of candidates) candidate.failure ??= failureIn(unavailable)
  }
}

/** It waits without losing an attempt: nothing was learned of it. */
function notAsked({ type, name, component }: Called): Failure {
  const message = `${name} of '${type}' was not asked: the calls for other events took too long`
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
  // Faster than spreading both.
  candidate.event = { ...event, data: Object.assign({}, event.data, addition) }
  candidate.additions = additions ? Object.assign({}, additions, addition) : addition
}

const EXPECTED = 'an array with one addition for each event'

/** The additions that an enricher answered; those that are promises are waited for, each on behalf of its own event. */
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
