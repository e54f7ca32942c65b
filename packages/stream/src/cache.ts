/** A cache in Redis that all workers share: what reference look-ups have found. */
import type { Redis } from 'ioredis'

/** A cache under the pipeline's prefix. Its promises reject while Redis is away. */
export function createCache(redis: Redis, prefix: string) {
  const keyOf = (key: string) => `${prefix}:cache:${key}`
  return {
    /** One answer a key, in order; `undefined` where nothing is cached. */
    async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
      if (keys.length === 0) return []
      return (await redis.mget(keys.map(keyOf))).map((value) => value ?? undefined)
    },

    /** Each entry expires after `ttlMs` milliseconds. */
    async setMany(entries: ReadonlyMap<string, string>, ttlMs: number): Promise<void> {
      const pipeline = redis.pipeline()
      for (const [key, value] of entries) pipeline.set(keyOf(key), value, 'PX', ttlMs)
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
    },
  }
}
