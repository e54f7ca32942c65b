/** The versions of schemas as a process knows them: which is the last of each type, and the contracts that were used. */
import type { SchemaSubject } from '@eventflow/db'
import type { Contract } from './contract.js'

/** Contracts that are kept besides those of the definitions; the one that was loaded first goes first. */
const MAX_LOADED = 1_000

interface Known {
  /** Nothing where the tenant has only used versions of the definitions. */
  latest?: number
  contracts: Map<number, Contract>
}

export interface Versions {
  /** The last version of a type that the tenant is known to have itself; nothing where there is none. */
  latest(subject: SchemaSubject): number | undefined
  find(subject: SchemaSubject, version: number): Contract | undefined
  /** Takes note that the tenant has a version. */
  announce(subject: SchemaSubject, version: number): void
  /** Keeps the contract of a version that counts for the tenant; for ever if it is that of a definition in this process. */
  keep(subject: SchemaSubject, version: number, contract: Contract, options?: { forEver: boolean }): void
}

export function createVersions(): Versions {
  const tenants = new Map<string, Map<string, Known>>()
  const loaded: { contracts: Map<number, Contract>; version: number }[] = []

  const find = ({ tenantId, type }: SchemaSubject) => tenants.get(tenantId)?.get(type)

  function known({ tenantId, type }: SchemaSubject): Known {
    const types = tenants.get(tenantId) ?? new Map<string, Known>()
    const found = types.get(type) ?? { contracts: new Map() }
    tenants.set(tenantId, types.set(type, found))
    return found
  }

  return {
    latest: (subject) => find(subject)?.latest,
    find: (subject, version) => find(subject)?.contracts.get(version),
    announce(subject, version) {
      const type = known(subject)
      type.latest = Math.max(type.latest ?? 0, version)
    },
    keep(subject, version, contract, { forEver } = { forEver: false }) {
      const { contracts } = known(subject)
      contracts.set(version, contract)
      if (forEver) return
      loaded.push({ contracts, version })
      if (loaded.length <= MAX_LOADED) return
      const oldest = loaded.shift()!
      oldest.contracts.delete(oldest.version)
    },
  }
}
