/** Adds accepted events to the streams of their partitions. */
import type { RawEvent } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { encodeEntry, FIELD, streamKey } from './entry.js'

/**
 * Publishes events in the given order, in one round trip. Gives the partitions of which it is not known that every entry
 * is there: Redis refused it (OOM), or the answer never came. Never throws.
 */
export async function publish(redis: Redis, prefix: string, events: readonly RawEvent[]): Promise<Set<number>> {
  const pipeline = redis.pipeline()
  for (const event of events) pipeline.xadd(streamKey(prefix, event.partition), '*', FIELD, encodeEntry(event))
  const unpublished = new Set<number>()
  const replies = await pipeline.exec().catch(() => null)
  events.forEach((event, i) => {
    const [error] = replies?.[i] ?? [new Error('no reply')]
    if (error) unpublished.add(event.partition)
  })
  return unpublished
}
