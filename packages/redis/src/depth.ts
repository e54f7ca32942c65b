/** The depths of the streams. */
import { CONSUMER_GROUP } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { streamKey } from './stream-key.js'

export interface StreamDepth {
  partition: number
  /** Entries in the stream, delivered or not. Settled ones are removed. */
  length: number
  /** Entries that are delivered and not yet acknowledged. */
  pending: number
}

/**
 * Reads the depths of these partitions' streams in one round trip. A missing stream or group counts as empty. Rejects
 * when Redis fails.
 */
export async function readDepths(redis: Redis, prefix: string, partitions: number): Promise<StreamDepth[]> {
  const pipeline = redis.pipeline()
  for (let partition = 0; partition < partitions; partition++) {
    pipeline.xlen(streamKey(prefix, partition))
    pipeline.xpending(streamKey(prefix, partition), CONSUMER_GROUP)
  }
  const replies = (await pipeline.exec()) ?? []
  return Array.from({ length: partitions }, (_, partition) => {
    const [lengthError, length] = replies[2 * partition] ?? [null, 0]
    const [, pending] = replies[2 * partition + 1] ?? []
    if (lengthError) throw lengthError
    return { partition, length: Number(length), pending: Array.isArray(pending) ? Number(pending[0]) : 0 }
  })
}
