/** A cache in Redis that all workers share: what reference look-ups have found. */
import type { Redis } from 'ioredis'

/**
 * A cache under the pipeline's prefix. While Redis is away nothing is found in it and nothing kept: that is no error.
 */
export function createCache(redis: Redis, prefix: string) {
  const keyOf = (key: string) => `${prefix}:cache:${key}`
  return {
    /** One answer a key, in order; `undefined` where nothing is cached. */
    async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
      if (keys.length === 0) return []
      const values = await redis.mget(keys.map(keyOf)).catch(() => [])
      return keys.map((_, index) => values[index] ?? undefined)
    },

    /**
     * Each entry expires after `ttlMs` milliseconds. Rejects when that is no whole number from 1, or a value no text.
     */
    async setMany(entries: ReadonlyMap<string, string>, ttlMs: number): Promise<void> {
      if (!Number.isInteger(ttlMs) || ttlMs < 1) throw new TypeError(`ttlMs is a whole number from 1, not ${ttlMs}`)
      const pipeline = redis.pipeline()
      for (const [key, value] of entries) {
        if (typeof value !== 'string') throw new TypeError(`what is cached for '${key}' is no text`)
        pipeline.set(keyOf(key), value, 'PX', ttlMs)
      }
      await pipeline.exec().catch(() => {})
    },
  }
}
