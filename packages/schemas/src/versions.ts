/** The schema versions that a process knows: the latest of each type, and the contracts that were used. */
import type { SchemaSubject } from '@eventflow/db'
import type { Contract } from './contract.js'

/** The most contracts that are cached besides those of the definitions; the least recently used are evicted first. */
const MAX_LOADED = 1_000

interface Known {
  /** Undefined if the tenant has only used versions of the definitions. */
  latest?: number
  contracts: Map<number, Kept>
}

/** `used`: it was used since it was last considered for eviction. */
interface Kept {
  contract: Contract
  used: boolean
}

export interface Versions {
  /** The tenant's latest known version of a type; undefined if there is none. */
  latest(subject: SchemaSubject): number | undefined
  /** The contract may be evicted at the next `keep`; a caller that needs it for longer must keep a reference. */
  find(subject: SchemaSubject, version: number): Contract | undefined
  /** Records that the tenant has a version. */
  announce(subject: SchemaSubject, version: number): void
  /** Caches the contract of a version of the tenant; `forEver` if it is that of a definition in this process. */
  keep(subject: SchemaSubject, version: number, contract: Contract, options?: { forEver: boolean }): void
}

export function createVersions({ maxLoaded = MAX_LOADED } = {}): Versions {
  const tenants = new Map<string, Map<string, Known>>()
  const loaded: { contracts: Map<number, Kept>; version: number }[] = []

  const find = ({ tenantId, type }: SchemaSubject) => tenants.get(tenantId)?.get(type)

  function known({ tenantId, type }: SchemaSubject): Known {
    const types = tenants.get(tenantId) ?? new Map<string, Known>()
    const found = types.get(type) ?? { contracts: new Map() }
    tenants.set(tenantId, types.set(type, found))
    return found
  }

  return {
    latest: (subject) => find(subject)?.latest,
    find(subject, version) {
      const kept = find(subject)?.contracts.get(version)
      if (kept) kept.used = true
      return kept?.contract
    },
    announce(subject, version) {
      const type = known(subject)
      type.latest = Math.max(type.latest ?? 0, version)
    },
    keep(subject, version, contract, { forEver } = { forEver: false }) {
      const { contracts } = known(subject)
      const kept = { contract, used: true }
      const isNew = !contracts.has(version)
      contracts.set(version, kept)
      if (forEver || !isNew) return
      loaded.push({ contracts, version })
      if (loaded.length > maxLoaded) forgetOne()
    },
  }

  /**
   * Contracts that were used go to the end of the queue once. This ends, because the second time round none counts as
   * used.
   */
  function forgetOne(): void {
    for (;;) {
      const oldest = loaded.shift()!
      const kept = oldest.contracts.get(oldest.version)
      if (kept?.used) {
        kept.used = false
        loaded.push(oldest)
      } else {
        oldest.contracts.delete(oldest.version)
        return
      }
    }
  }
}
