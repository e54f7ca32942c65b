/** Adds accepted events to the streams of their partitions. */
import type { RawEvent } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { FIELD, packEntry, streamKey } from './entry.js'

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
      const byPartition = groupByPartition(events)
      const partitions = [...byPartition.keys()]
      const unpublished = new Set(partitions.filter((partition) => (lengths.get(partition) ?? 0) >= maxLength))
      const added: number[] = []
      const pipeline = redis.pipeline()
      for (const [partition, group] of byPartition) {
        if (unpublished.has(partition)) continue
        for (const chunk of chunksOf(group)) {
          pipeline.xadd(streamKey(prefix, partition), '*', FIELD, packEntry(chunk))
          added.push(partition)
        }
      }
      for (const partition of partitions) pipeline.xlen(streamKey(prefix, partition))

      const replies = (await pipeline.exec().catch(() => null)) ?? []
      added.forEach((partition, i) => {
        if (replies[i]?.[0] !== null) unpublished.add(partition)
      })
      partitions.forEach((partition, i) => {
        const [error, length] = replies[added.length + i] ?? []
        if (error === null) lengths.set(partition, Number(length))
      })
      return unpublished
    },
  }
}

function groupByPartition(events: readonly RawEvent[]): Map<number, RawEvent[]> {
  const groups = new Map<number, RawEvent[]>()
  for (const event of events) {
    const group = groups.get(event.partition)
    if (group) group.push(event)
    else groups.set(event.partition, [event])
  }
  return groups
}

/** What one entry holds at the most: a reader takes whole entries. A single event may be larger. */
const CHUNK_EVENTS = 50
const CHUNK_CHARACTERS = 65_536

function* chunksOf(events: readonly RawEvent[]): Generator<RawEvent[]> {
  let chunk: RawEvent[] = []
  let characters = 0
  for (const event of events) {
    const isFull = chunk.length === CHUNK_EVENTS || characters + event.payload.length > CHUNK_CHARACTERS
    if (isFull && chunk.length > 0) {
      yield chunk
      chunk = []
      characters = 0
    }
    chunk.push(event)
    characters += event.payload.length
  }
  if (chunk.length > 0) yield chunk
}
