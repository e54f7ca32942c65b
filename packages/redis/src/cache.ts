/** The cache in Redis for lookups of enrichers, shared by all workers. */
import type { Redis } from 'ioredis'

/** Creates a cache under the pipeline's prefix. While Redis is away, it finds and stores nothing, without an error. */
export function createCache(redis: Redis, prefix: string) {
  const keyOf = (key: string) => `${prefix}:cache:${key}`
  return {
    /** Resolves with one value for each key, in order; `undefined` if it is not cached. */
    async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
      if (keys.length === 0) return []
      const values = await redis.mget(keys.map(keyOf)).catch(() => [])
      return keys.map((_, index) => values[index] ?? undefined)
    },

    /**
     * Each entry expires after `ttlMs` milliseconds. Rejects if `ttlMs` is not a positive integer or a value is not a
     * string.
     */
    async setMany(entries: ReadonlyMap<string, string>, ttlMs: number): Promise<void> {
      if (!Number.isInteger(ttlMs) || ttlMs < 1) throw new TypeError(`ttlMs must be a positive integer, not ${ttlMs}`)
      const pipeline = redis.pipeline()
      for (const [key, value] of entries) {
        if (typeof value !== 'string') throw new TypeError(`the cached value of '${key}' must be a string`)
        pipeline.set(keyOf(key), value, 'PX', ttlMs)
      }
      await pipeline.exec().catch(() => {})
    },
  }
}
