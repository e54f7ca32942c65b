/**
 * Reads the data of an event: converts it to what the definition's code expects, or returns the reason why that fails.
 */
import {
  type Failure,
  failureOf,
  NotPlainError,
  type Payload,
  PermanentError,
  type Problem,
  plainData,
} from '@eventflow/core'
import { type Answer, answerOf, type Called, WrongAnswer } from '@eventflow/sdk/user-code'
import { type Contract, type OwnContract, statedVersion, type WantedVersion, type Written } from './contract.js'
import type { Registry } from './follow.js'
import type { Versions } from './versions.js'

/**
 * How the data of an event is checked: with the schema of the definition after its upcasters, or with a version and
 * then the schema of the definition. `wanted`: the version is not cached.
 */
export type Plan =
  | { upcasters: OwnContract['upcasters'] }
  | { version: number; contract: Contract }
  | { wanted: WantedVersion }

/**
 * Returns how to read the data of an event. An event that states a version is checked against it, unless upcasters
 * convert it to the schema of the definition. All others are checked against the tenant's latest version, if it has
 * one.
 */
export function planFor(event: Written, own: OwnContract, versions: Versions): Plan {
  const stated = statedVersion(event)
  if (stated !== undefined && own.upcasters.length > 0) {
    const upcasters = own.upcasters.filter(([version]) => version >= stated)
    if (upcasters.length > 0) return { upcasters }
  }
  const version = stated ?? versions.latest(event)
  if (version === undefined) return { upcasters: [] }
  const contract = versions.find(event, version)
  if (contract) return { version, contract }
  return { wanted: { tenantId: event.tenantId, type: event.type, version } }
}

/**
 * Resolves with the plans, completed with the versions that had to be loaded; usually there are none. A plan keeps its
 * contract even if the registry evicts it meanwhile. Rejects when Postgres is away.
 */
export async function completePlans<Entry extends Plan | undefined>(
  plans: readonly Entry[],
  load: Registry['load'],
): Promise<readonly (Entry | Plan)[]> {
  const wanted = plans.flatMap((plan) => (plan && 'wanted' in plan ? plan.wanted : []))
  if (wanted.length === 0) return plans
  const loaded = await load(wanted)
  return plans.map((plan) => {
    if (!plan || !('wanted' in plan)) return plan
    const contract = loaded(plan.wanted)
    return contract ? { version: plan.wanted.version, contract } : plan
  })
}

/** The converted data with defaults (the same object if nothing changed), or why it cannot be used. */
export type Reading = Read | { failure: Failure }

type Read = { data: Payload; unknownFields: number } | { problems: Problem[] }

/**
 * Reads the data of an event by its plan. The definition's code only gets data that fits `own`, the schema of its
 * definition: a version can be stricter, never laxer. The given data is not changed.
 */
export function readData(type: string, data: Payload, plan: Plan, own: OwnContract): Reading {
  if ('wanted' in plan) {
    const error = new PermanentError(`no version ${plan.wanted.version} of the schema of '${type}' is registered`)
    return { failure: { ...failureOf(error, 'schema'), errorClass: 'UnknownSchema' } }
  }
  try {
    if ('contract' in plan) return readByVersion(data, plan, own)
    const lifted = lift(type, data, plan.upcasters)
    return 'failure' in lifted ? lifted : readBy(lifted.value, own)
  } catch (error) {
    // The compiled code of some rare schemas throws; the next attempt would throw, too.
    return { failure: { ...failureOf(error, 'schema'), failureType: 'permanent' } }
  }
}

/**
 * Checks against the version first, which may have other defaults, then against the definition; once if both are the
 * same.
 */
function readByVersion(
  data: Payload,
  { version, contract }: { version: number; contract: Contract },
  own: OwnContract,
): Reading {
  const read = readBy(data, contract)
  if (contract.fingerprint === own.fingerprint) return read
  if (!('data' in read)) return saying(read, `by version ${version} of the schema`)
  const readByOwn = readBy(read.data, own)
  if (!('data' in readByOwn)) return saying(readByOwn, 'by the schema of the definition')
  return { data: readByOwn.data, unknownFields: read.unknownFields }
}

function readBy(data: Payload, { check, shape }: Contract): Read {
  const whole = shape.complete(data)
  const problems = check(whole)
  return problems.length > 0 ? { problems } : { data: whole, unknownFields: shape.countUnknown(whole) }
}

/** Adds to each problem which of the two schemas is violated. */
function saying({ problems }: { problems: Problem[] }, schema: string): Reading {
  return { problems: problems.map(({ message, ...where }) => ({ ...where, message: `${message}, ${schema}` })) }
}

const EXPECTED = 'the data of the next version, a plain object that JSON can hold'

/**
 * Runs the upcasters on a copy, because they may change their argument. A failure is permanent: the next attempt would
 * fail, too.
 */
function lift(type: string, data: Payload, upcasters: OwnContract['upcasters']): Answer<Payload> {
  if (upcasters.length === 0) return { value: data }
  let lifted: Payload = structuredClone(data)
  for (const [version, upcaster] of upcasters) {
    const called: Called = { type, name: `upcast[${version}]`, component: 'upcast' }
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
