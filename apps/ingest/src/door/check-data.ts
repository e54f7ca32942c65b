/** Checks the data of events at the door, for types that ask for it; with the same schemas that a worker uses. */
import type { Problem } from '@eventflow/core'
import {
  completePlans,
  type OwnContract,
  ownContractOf,
  type Plan,
  planFor,
  type Registry,
  readData,
} from '@eventflow/schemas'
import type { EventDefinition } from '@eventflow/sdk'
import { inBrief } from '../http/brief.js'
import { inSlices } from '../http/in-slices.js'
import type { Admitted, Taken } from './admit.js'

/** Data up to this many characters is checked so fast that the event loop is not blocked noticeably. */
const SHORT = 65_536

/**
 * Resolves with the admitted events of a tenant; those whose data does not fit are replaced by their problems. Rejects
 * when Postgres is away.
 */
export type DataCheck = (tenantId: string, admitted: readonly Admitted[]) => Promise<readonly Admitted[]>

/** Throws if a schema is invalid. */
export function createDataCheck(definitions: Iterable<EventDefinition>, { versions, load }: Registry): DataCheck {
  const contracts = new Map<string, OwnContract>()
  for (const definition of definitions) {
    if (definition.validateAt === 'ingest') contracts.set(definition.type, ownContractOf(definition))
  }
  const contractFor = (item: Admitted) => ('event' in item ? contracts.get(item.event.type) : undefined)

  return async (tenantId, admitted) => {
    if (contracts.size === 0 || !admitted.some(contractFor)) return admitted
    const planned = admitted.map((item) => {
      const contract = contractFor(item)
      return contract && 'event' in item ? planFor(item.event, contract, versions) : undefined
    })
    const plans = await completePlans(planned, load)
    const check = (item: Admitted, index: number): Admitted => {
      const plan = plans[index]
      const contract = contractFor(item)
      const problems = contract && plan && 'event' in item ? problemsOf(item, plan, contract) : []
      return problems.length > 0 ? { problems, misfit: true } : item
    }
    const [only] = admitted
    const isShort = admitted.length === 1 && 'event' in only! && only.event.payload.length <= SHORT
    return isShort ? [check(only, 0)] : inSlices(tenantId, admitted, check)
  }
}

function problemsOf({ event, data }: Taken, plan: Plan, own: OwnContract): Problem[] {
  const reading = readData(event.type, data, plan, own)
  if ('failure' in reading) return [{ pointer: '/data', message: reading.failure.message }]
  if (!('problems' in reading)) return []
  return inBrief(reading.problems.map(({ pointer, message }) => ({ pointer: `/data${pointer}`, message })))
}
