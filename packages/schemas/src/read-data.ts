/** From the data of an event as it was written to what its type's code works with, or to what is wrong with it. */
import {
  type Failure,
  failureOf,
  NotPlainError,
  type Payload,
  PermanentError,
  type Problem,
  plainData,
} from '@eventflow/core'
import type { SchemaSubject } from '@eventflow/db'
import { type Answer, answerOf, WrongAnswer } from '@eventflow/pipeline/user-code'
import { type Contract, type OwnContract, statedVersion, type Written } from './contract.js'
import type { Registry } from './follow.js'
import type { Versions } from './versions.js'

/** A version that an event is to be held against. */
export interface WantedVersion extends SchemaSubject {
  version: number
}

/** Which contract is asked, and what lifts the data before; or the version that is not at hand. */
export type Plan = { contract: Contract; upcasters: OwnContract['upcasters'] } | { wanted: WantedVersion }

/**
 * How the data of an event is to be read. An event that names a version is held against that one; if upcasters lift it, against the
 * schema of the definition, where they end. All others are held against the last version.
 */
export function planFor(event: Written, own: OwnContract, versions: Versions): Plan {
  const stated = statedVersion(event)
  if (stated !== undefined && own.upcasters.length > 0) {
    const upcasters = own.upcasters.filter(([version]) => version >= stated)
    if (upcasters.length > 0) return { contract: own, upcasters }
  }
  const version = stated ?? versions.latest(event)
  if (version === undefined) return { contract: own, upcasters: [] }
  const contract = versions.find(event, version)
  if (contract) return { contract, upcasters: [] }
  return { wanted: { tenantId: event.tenantId, type: event.type, version } }
}

/**
 * The plans, complete with the versions that had to be loaded, as a rule none. What a plan holds stays at hand, also when the
 * registry forgets it meanwhile. Rejects when Postgres is away.
 */
export async function completePlans<Entry extends Plan | undefined>(
  plans: readonly Entry[],
  load: Registry['load'],
): Promise<readonly (Entry | Plan)[]> {
  const wanted = plans.flatMap((plan) => (plan && 'wanted' in plan ? plan.wanted : []))
  if (wanted.length === 0) return plans
  const loaded = await load(wanted)
  return plans.map((plan) => {
    const contract = plan && 'wanted' in plan ? loaded(plan.wanted) : undefined
    return contract ? { contract, upcasters: [] } : plan
  })
}

/** The data with what was lifted and filled in, the same object where nothing was; or why it cannot be used. */
export type Reading = { data: Payload; unknownFields: number } | { problems: Problem[] } | { failure: Failure }

/** Reads the data of an event of this type by its plan. Nothing that is given is changed. */
export function readData(type: string, data: Payload, plan: Plan): Reading {
  if ('wanted' in plan) {
    const error = new PermanentError(`no version ${plan.wanted.version} of the schema of '${type}' is registered`)
    return { failure: { ...failureOf(error, 'schema'), errorClass: 'UnknownSchema' } }
  }
  const lifted = lift(type, data, plan.upcasters)
  if ('failure' in lifted) return lifted
  try {
    const { check, shape } = plan.contract
    const whole = shape.complete(lifted.value)
    const problems = check(whole)
    return problems.length > 0 ? { problems } : { data: whole, unknownFields: shape.countUnknown(whole) }
  } catch (error) {
    // The code that is compiled of some rare schemas throws; the next attempt would, too.
    return { failure: { ...failureOf(error, 'schema'), failureType: 'permanent' } }
  }
}

const EXPECTED = 'the data of the next version, a plain object that JSON can hold'

/** Runs the upcasters, which may change what they are given: a copy. What one of them cannot lift today, it cannot lift later. */
function lift(type: string, data: Payload, upcasters: OwnContract['upcasters']): Answer<Payload> {
  if (upcasters.length === 0) return { value: data }
  let lifted: Payload = structuredClone(data)
  for (const [version, upcaster] of upcasters) {
    const called = { type, name: `upcast[${version}]`, component: 'upcast' }
    const answer = answerOf(called, () => upcaster(lifted), EXPECTED, readPayload)
    if ('failure' in answer) return { failure: { ...answer.failure, failureType: 'permanent' } }
    lifted = answer.value
  }
  return { value: lifted }
}

/** A copy that the next upcaster may change. */
function readPayload(answer: unknown): Payload {
  try {
    return structuredClone(plainData(answer))
  } catch (error) {
    throw error instanceof NotPlainError ? new WrongAnswer(error.message, EXPECTED) : error
  }
}
