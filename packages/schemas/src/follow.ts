/** Follows what is registered: a process knows a new version within about a second, and one that is asked for at once. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Db, findSchemaVersions, readNewSchemas } from '@eventflow/db'
import { contractOf } from './contract.js'
import type { WantedVersion } from './read-data.js'
import { createVersions, type Versions } from './versions.js'

const LOOK_EVERY_MS = 1_000

export interface Registry {
  versions: Versions
  /**
   * Loads versions, as far as there are any. What is not there is looked for again each time: it may have been registered just
   * now. Rejects when Postgres is away.
   */
  load(wanted: readonly WantedVersion[]): Promise<void>
  stop(): Promise<void>
}

/** Reads which versions there are, and goes on doing so. `onError` hears why it could not; it tries again. */
export async function followSchemas(db: Db, onError: (error: unknown) => void): Promise<Registry> {
  const versions = createVersions()
  const stopping = new AbortController()
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

  async function keepLooking(): Promise<void> {
    while (!stopping.signal.aborted) {
      await delay(LOOK_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
      if (!stopping.signal.aborted) await look().catch(onError)
    }
  }

  await look()
  const ended = keepLooking()
  return {
    versions,
    async load(wanted) {
      const distinct = [...new Map(wanted.map((one) => [`${one.version} ${one.tenantId} ${one.type}`, one])).values()]
      for (const { tenantId, type, version, schema, origin, own } of await findSchemaVersions(db, distinct)) {
        const contract = contractOf(schema, { firstOnly: origin === 'api' })
        if (own) versions.announce({ tenantId, type }, version)
        versions.keep({ tenantId, type }, version, contract)
      }
    },
    async stop() {
      stopping.abort()
      await ended
    },
  }
}
