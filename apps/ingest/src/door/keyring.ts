/**
 * A cache of the API keys in use, so that a request with a cached key need not wait. A key is first *fresh*. Then it is
 * still used, but refreshed in the background. Then it is *stale*, and requests wait for the answer. So a revocation
 * takes effect within STALE_MS in every process.
 */
import {
  API_KEY_FORM,
  type ApiKey,
  type Db,
  findValidKeys,
  noteUse,
  type Quota,
  type Scope,
  type ValidKey,
} from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'

/** The tenant of a request and what it may do. */
export interface Access {
  tenantId: string
  /** Undefined if no key was needed. */
  keyId?: string
  scopes: ReadonlySet<Scope>
  /** The quota of its tenant; unlimited if undefined. */
  quota?: Quota
  /** When its key ends, in milliseconds since 1970, as far as known; never if undefined. */
  endsAt?: number
}

const FRESH_MS = 2_000
const STALE_MS = 4_000

/** How long an invalid key is cached, so that repeated attempts with it cost one query in that time. */
const REFUSED_MS = 1_000

/** The most cached keys, for valid and for other keys separately: the others cannot evict the valid ones. */
const MAX_KEYS = 10_000
const MAX_REFUSED = 1_000

/** The most keys in one query. */
const MAX_ASKED = 500

const MINUTE_MS = 60_000

interface Known {
  access: Access & { endsAt: number }
  /** In milliseconds since 1970, like all times here. */
  seenAt: number
}

interface Waiting {
  answer: Promise<Access | undefined>
  resolve: (access: Access | undefined) => void
  reject: (error: unknown) => void
}

export interface Keyring {
  /**
   * Returns what a key allows, undefined if it is invalid; synchronously if it is cached. Rejects when Postgres is
   * away.
   */
  accessOf(key: string): Access | undefined | Promise<Access | undefined>
}

export function createKeyring({ db, log, now = Date.now }: { db: Db; log: Logger; now?: () => number }): Keyring {
  const known = new Map<string, Known>()
  const refused = new Map<string, number>()
  const waiting = new Map<string, Waiting>()
  let asking = false

  function accessOf(key: string): Access | undefined | Promise<Access | undefined> {
    const time = now()
    const entry = known.get(key)
    if (entry && entry.access.endsAt > time) {
      const age = time - entry.seenAt
      if (age < FRESH_MS) return entry.access
      if (age < STALE_MS) {
        // If this fails, requests notice it once the key is stale and they wait for it.
        ask(key).catch(() => {})
        return entry.access
      }
    }
    if (!API_KEY_FORM.test(key) || (refused.get(key) ?? 0) > time) return undefined
    return ask(key)
  }

  function ask(key: string): Promise<Access | undefined> {
    const before = waiting.get(key)
    if (before) return before.answer
    let settle!: Pick<Waiting, 'resolve' | 'reject'>
    const answer = new Promise<Access | undefined>((resolve, reject) => {
      settle = { resolve, reject }
    })
    waiting.set(key, { answer, ...settle })
    if (!asking) void answerAll()
    return answer
  }

  /**
   * Runs one query at a time; keys that arrive meanwhile share the next one, so that a flood of invalid keys uses one
   * connection.
   */
  async function answerAll(): Promise<void> {
    asking = true
    while (waiting.size > 0) {
      const batch = [...waiting].slice(0, MAX_ASKED)
      const keys = batch.map(([key]) => key)
      try {
        const valid = await findValidKeys(db, keys)
        for (const [key, { resolve }] of batch) resolve(learn(key, valid.get(key)))
        await noteUses([...valid.values()])
      } catch (error) {
        for (const [, { reject }] of batch) reject(error)
      } finally {
        for (const key of keys) waiting.delete(key)
      }
    }
    asking = false
  }

  function learn(key: string, valid: ValidKey | undefined): Access | undefined {
    if (!valid) {
      known.delete(key)
      remember(refused, MAX_REFUSED, key, now() + REFUSED_MS)
      return undefined
    }
    const { id, tenantId, scopes, quota, expiresAt, revokedAt } = valid
    const endsAt = Math.min(expiresAt?.getTime() ?? Infinity, revokedAt?.getTime() ?? Infinity)
    const access = { tenantId, keyId: id, scopes: new Set(scopes), quota, endsAt }
    remember(known, MAX_KEYS, key, { access, seenAt: now() })
    return access
  }

  async function noteUses(keys: readonly ApiKey[]): Promise<void> {
    const unnoted = keys.filter(({ lastUsedAt }) => now() - (lastUsedAt?.getTime() ?? 0) > MINUTE_MS)
    const ids = unnoted.map(({ id }) => id)
    if (ids.length > 0)
      await noteUse(db, ids).catch((err) => log.warn({ err }, 'recording the last use of API keys failed'))
  }

  return { accessOf }
}

/** Evicts the oldest entry to make room. */
function remember<Value>(map: Map<string, Value>, limit: number, key: string, value: Value): void {
  map.delete(key)
  if (map.size >= limit) map.delete(map.keys().next().value!)
  map.set(key, value)
}
