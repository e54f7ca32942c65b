/** Adds accepted events to the streams of their partitions. */
import type { RawEvent } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { encodeEntry, FIELD, streamKey } from './entry.js'

export interface Publisher {
  /**
   * Publishes events in the given order, in one round trip. Gives the partitions of which it is not known that every entry
   * is there: Redis refused it (OOM), the answer never came, or the stream is too long. Never throws.
   */
  publish(events: readonly RawEvent[]): Promise<Set<number>>
}

/**
 * A publisher that leaves streams alone which are `maxLength` entries long: what is over it stays in Postgres, so that Redis
 * stays bounded under any backlog. The lengths are those that the last round trip found; several publishers may go over
 * together by what they have under way.
 */
export function createPublisher(redis: Redis, prefix: string, maxLength: number): Publisher {
  const lengths = new Map<number, number>()

  return {
    async publish(events) {
      const partitions = [...new Set(events.map(({ partition }) => partition))]
      const unpublished = new Set(partitions.filter((partition) => (lengths.get(partition) ?? 0) >= maxLength))
      const published = events.filter(({ partition }) => !unpublished.has(partition))
      const pipeline = redis.pipeline()
      for (const event of published) pipeline.xadd(streamKey(prefix, event.partition), '*', FIELD, encodeEntry(event))
      for (const partition of partitions) pipeline.xlen(streamKey(prefix, partition))

      const replies = (await pipeline.exec().catch(() => null)) ?? []
      published.forEach(({ partition }, i) => {
        if (replies[i]?.[0] !== null) unpublished.add(partition)
      })
      partitions.forEach((partition, i) => {
        const [error, length] = replies[published.length + i] ?? []
        if (error === null) lengths.set(partition, Number(length))
      })
      return unpublished
    },
  }
}
