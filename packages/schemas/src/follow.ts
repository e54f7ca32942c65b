/** Follows what is registered: a process knows a new version within about a second, and one that is asked for at once. */
import { type Db, findSchemaVersions, readNewSchemas } from '@eventflow/db'
import { repeat } from '@eventflow/runtime/repeat'
import { type Contract, contractOf, type WantedVersion } from './contract.js'
import { createVersions, type Versions } from './versions.js'

const LOOK_EVERY_MS = 1_000

/** Gives the contract of a version that was loaded; nothing where there is none. */
export type LoadedVersions = (wanted: WantedVersion) => Contract | undefined

export interface Registry {
  versions: Versions
  /**
   * Loads versions, as far as there are any, and gives them: `versions` may have forgotten them by the time they are used. What is not
   * there is looked for again each time: it may have been registered just now. Rejects when Postgres is away.
   */
  load(wanted: readonly WantedVersion[]): Promise<LoadedVersions>
  stop(): Promise<void>
}

/** Reads which versions there are, and goes on doing so. `onError` hears why it could not; it tries again. */
export async function followSchemas(db: Db, onError: (error: unknown) => void): Promise<Registry> {
  const versions = createVersions()
  let seen = 0

  async function look(): Promise<void> {
    for (;;) {
      const added = await readNewSchemas(db, seen)
      for (const { id, version, ...subject } of added) {
        versions.announce(subject, version)
        seen = id
      }
      if (added.length === 0) return
    }
  }

  await look()
  const looking = repeat(look, { pauseMs: LOOK_EVERY_MS, pauseFirst: true, onError })
  return {
    versions,
    async load(wanted) {
      const distinct = new Map(wanted.map((one) => [keyOf(one), one]))
      const loaded = new Map<string, Contract>()
      for (const { tenantId, type, version, schema, origin, own } of await findSchemaVersions(db, [
        ...distinct.values(),
      ])) {
        const contract = contractOf(schema, { firstOnly: origin === 'api' })
        if (own) versions.announce({ tenantId, type }, version)
        versions.keep({ tenantId, type }, version, contract)
        loaded.set(keyOf({ tenantId, type, version }), contract)
      }
      return (one) => loaded.get(keyOf(one))
    },
    stop: () => looking.stop(),
  }
}

const keyOf = ({ tenantId, type, version }: WantedVersion) => `${version} ${tenantId} ${type}`
