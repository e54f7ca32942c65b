/** Reading and claiming entries as a consumer of the group. */
import { CONSUMER_GROUP, type Entry, type Reading } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { NO_ENTRY_ID } from './entry-id.js'
import type { Seal } from './seal.js'
import { FIELD, streamKey } from './stream-key.js'

/** An entry in a reply of Redis; without fields if it was deleted. */
export type RawEntry = [id: string, fields: string[] | null]

/**
 * Reads entries that were not delivered to any consumer, in order within each partition. Waits up to `blockMs` for the
 * first one. `count` limits the entries of each partition. Rejects when the connection fails or a stream or its group
 * is gone.
 *
 * An entry is delivered to one consumer only. If a former owner reads an entry after everything was claimed, later
 * entries would overtake it. So the same round trip also checks, after the read, which other consumers have pending
 * entries.
 */
export async function readNew(
  redis: Redis,
  prefix: string,
  seal: Seal,
  consumer: string,
  partitions: readonly number[],
  { count, blockMs }: { count: number; blockMs: number },
): Promise<Omit<Reading, 'interrupted'>> {
  // BLOCK 0 would wait forever.
  const block = blockMs > 0 ? ['BLOCK', blockMs] : []
  const keys = partitions.map((partition) => streamKey(prefix, partition))
  const pipeline = redis.pipeline()
  pipeline.call(
    ...(['XREADGROUP', 'GROUP', CONSUMER_GROUP, consumer, 'COUNT', count, ...block, 'STREAMS'] as const),
    ...keys,
    ...keys.map(() => '>'),
  )
  for (const key of keys) pipeline.xpending(key, CONSUMER_GROUP)
  const [read, ...pending] = ((await pipeline.exec()) ?? []).map(([error, reply]) => {
    if (error) throw error
    return reply
  })
  const entries = ((read ?? []) as [key: string, entries: RawEntry[]][]).flatMap(([key, given]) => {
    const partition = partitions[keys.indexOf(key)]!
    return given.map((entry) => toEntry(prefix, seal, partition, entry))
  })
  const strays = partitions.filter((_, i) => holders(pending[i]).some((holder) => holder !== consumer))
  return { entries, strays }
}

/** The consumers with pending entries, from the summary of XPENDING. */
function holders(summary: unknown): string[] {
  const [, , , consumers] = summary as [number, string, string, [name: string, entries: string][] | null]
  return (consumers ?? []).map(([name]) => name)
}

/** Entries that one call claims. */
const CLAIMED_AT_ONCE = 100

/**
 * Claims the next pending entries of any consumer, in order, from the id `from` on. `next` is where to continue, if
 * there may be more. Only for the owner of the partition: it need not wait for entries to become idle, because the
 * fence keeps their former consumer from settling them.
 */
export async function claimPending(
  redis: Redis,
  prefix: string,
  seal: Seal,
  consumer: string,
  { partition, from }: { partition: number; from: string },
): Promise<{ entries: Entry[]; next: string | undefined }> {
  const [next, entries] = (await redis.xautoclaim(
    ...([streamKey(prefix, partition), CONSUMER_GROUP, consumer, 0, from, 'COUNT', CLAIMED_AT_ONCE] as const),
  )) as [string, (RawEntry | null)[], ...unknown[]]
  return {
    // For a deleted entry, Redis 6.2 replies nil; Redis 7 drops it and lists it in a third element.
    entries: entries.flatMap((entry) => (entry ? toEntry(prefix, seal, partition, entry) : [])),
    next: next === NO_ENTRY_ID ? undefined : next,
  }
}

/** Converts an entry of a Redis reply and opens its seal. */
export function toEntry(prefix: string, seal: Seal, partition: number, [id, fields]: RawEntry): Entry {
  const closed = fields?.[fields.indexOf(FIELD) + 1]
  return { partition, id, text: closed === undefined ? undefined : seal.open(streamKey(prefix, partition), closed) }
}
