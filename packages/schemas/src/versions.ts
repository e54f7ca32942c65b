/** The versions of schemas as a process knows them: which is the last of each type, and the contracts that were used. */
import type { SchemaSubject } from '@eventflow/db'
import type { Contract } from './contract.js'

/** Contracts that are kept besides those of the definitions; the one that was loaded first goes first. */
const MAX_LOADED = 1_000

interface Known {
  latest: number
  contracts: Map<number, Contract>
}

export interface Versions {
  /** The last version of a type that is known; nothing where there is none. */
  latest(subject: SchemaSubject): number | undefined
  find(subject: SchemaSubject, version: number): Contract | undefined
  /** Takes note that there is a version. */
  announce(subject: SchemaSubject, version: number): void
  /** Keeps a contract, for ever if it is `own`. */
  keep(subject: SchemaSubject, version: number, contract: Contract, options?: { own: boolean }): void
}

export function createVersions(): Versions {
  const tenants = new Map<string, Map<string, Known>>()
  const loaded: { contracts: Map<number, Contract>; version: number }[] = []

  const find = ({ tenantId, type }: SchemaSubject) => tenants.get(tenantId)?.get(type)

  function announce({ tenantId, type }: SchemaSubject, version: number): Known {
    const types = tenants.get(tenantId) ?? new Map<string, Known>()
    const known = types.get(type) ?? { latest: version, contracts: new Map() }
    tenants.set(tenantId, types.set(type, known))
    known.latest = Math.max(known.latest, version)
    return known
  }

  return {
    latest: (subject) => find(subject)?.latest,
    find: (subject, version) => find(subject)?.contracts.get(version),
    announce,
    keep(subject, version, contract, { own } = { own: false }) {
      const { contracts } = announce(subject, version)
      contracts.set(version, contract)
      if (own) return
      loaded.push({ contracts, version })
      if (loaded.length <= MAX_LOADED) return
      const oldest = loaded.shift()!
      oldest.contracts.delete(oldest.version)
    },
  }
}
