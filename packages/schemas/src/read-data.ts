/** From the data of an event as it was written to what its type's code works with, or to what is wrong with it. */
import { type Failure, failureOf, type Payload, PermanentError, type Problem } from '@eventflow/core'
import type { SchemaSubject } from '@eventflow/db'
import { type Contract, type OwnContract, statedVersion, type Upcaster, type Written } from './contract.js'
import type { Versions } from './versions.js'

/** A version that an event is to be held against. */
export interface WantedVersion extends SchemaSubject {
  version: number
}

/** Which contract is asked, and what lifts the data before; or the version that is not at hand. */
type Plan = { contract: Contract; upcasters: OwnContract['upcasters'] } | { wanted: WantedVersion }

/**
 * An event that names a version is held against that one; if upcasters lift it, against the schema of the definition, where they
 * end. All others are held against the last version.
 */
function planFor(event: Written, own: OwnContract, versions: Versions): Plan {
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

/** The version that must be loaded before the event can be read; nothing in the ordinary case. */
export function wantedVersion(event: Written, own: OwnContract, versions: Versions): WantedVersion | undefined {
  const plan = planFor(event, own, versions)
  return 'wanted' in plan ? plan.wanted : undefined
}

/** The data with what was lifted and filled in, the same object where nothing was; or why it cannot be used. */
export type Reading = { data: Payload; unknownFields: number } | { problems: Problem[] } | { failure: Failure }

/** Reads the data of an event. Nothing that is given is changed. */
export function readData(event: Written, data: Payload, own: OwnContract, versions: Versions): Reading {
  const plan = planFor(event, own, versions)
  if ('wanted' in plan) {
    const { type, version } = plan.wanted
    const error = new PermanentError(`no version ${version} of the schema of '${type}' is registered`)
    return { failure: { ...failureOf(error, 'schema'), errorClass: 'UnknownSchema' } }
  }
  let lifted = data
  if (plan.upcasters.length > 0) {
    try {
      lifted = lift(structuredClone(data), plan.upcasters)
    } catch (error) {
      return { failure: { ...failureOf(error, 'upcast'), failureType: 'permanent' } }
    }
  }
  try {
    const { check, shape } = plan.contract
    const whole = shape.complete(lifted)
    const problems = check(whole)
    return problems.length > 0 ? { problems } : { data: whole, unknownFields: shape.countUnknown(whole) }
  } catch (error) {
    // The code that is compiled of some rare schemas throws; the next attempt would, too.
    return { failure: { ...failureOf(error, 'schema'), failureType: 'permanent' } }
  }
}

function lift(data: Payload, upcasters: readonly [number, Upcaster][]): Payload {
  const lifted = upcasters.reduce((before, [, upcaster]) => upcaster(before), data)
  if (typeof lifted !== 'object' || lifted === null) throw new TypeError('an upcaster gave something else than data')
  return lifted
}
