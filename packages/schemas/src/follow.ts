/**
 * Follows the registered schemas: a process knows a new version within about a second, and loads one on demand at once.
 */
import { type Db, findSchemaVersions, readNewSchemas } from '@eventflow/db'
import { repeat } from '@eventflow/runtime/repeat'
import { type Contract, contractOf, type WantedVersion } from './contract.js'
import { createVersions, type Versions } from './versions.js'

const LOOK_EVERY_MS = 1_000

/** Returns the contract of a loaded version; undefined if there is none. */
export type LoadedVersions = (wanted: WantedVersion) => Contract | undefined

export interface Registry {
  versions: Versions
  /**
   * Loads those of the wanted versions that exist, and returns them, because `versions` may have evicted them by the
   * time they are used. A missing version is looked up again each time: it may have just been registered. Rejects when
   * Postgres is away.
   */
  load(wanted: readonly WantedVersion[]): Promise<LoadedVersions>
  stop(): Promise<void>
}

/**
 * Reads the existing versions and keeps following them. Later errors are passed to `onError`, and it tries again.
 * Rejects if the first read fails.
 */
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
