/** Entries as consumers of the group read and claim them. */
import { CONSUMER_GROUP, type Entry, type Reading } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { NO_ENTRY_ID } from './entry-id.js'
import type { Seal } from './seal.js'
import { FIELD, streamKey } from './stream-key.js'

/** An entry in a reply of Redis; without fields where it was removed. */
export type RawEntry = [id: string, fields: string[] | null]

/**
 * Reads entries that no consumer was given yet, in order within each partition; waits up to `blockMs` for the first.
 * `count` bounds the entries of each partition. Throws when the connection fails or a stream or its group is gone.
 *
 * An entry is given to one consumer only. If a former owner was given one after everything was claimed, those that come
 * after it would overtake it: so who else holds entries is looked up behind the read, in the same round trip.
 */
export async function readNew(
  redis: Redis,
  prefix: string,
  seal: Seal,
  consumer: string,
  partitions: readonly number[],
  { count, blockMs }: { count: number; blockMs: number },
): Promise<Omit<Reading, 'interrupted'>> {
  // BLOCK 0 would wait for ever.
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

/** The consumers that hold entries, from the summary of XPENDING. */
function holders(summary: unknown): string[] {
  const [, , , consumers] = summary as [number, string, string, [name: string, entries: string][] | null]
  return (consumers ?? []).map(([name]) => name)
}

/** Entries that are taken over by one call. */
const CLAIMED_AT_ONCE = 100

/**
 * Takes over the next entries that were delivered to any consumer and not acknowledged, in order, beginning with the id
 * `from`. `next` is where to go on, if there may be more. Only for the owner of the partition: it need not wait for
 * entries to grow stale, since the fence keeps their old consumer from settling them.
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
    // Redis 6.2 answers nil for an entry that was deleted; Redis 7 forgets it and names it in a third element.
    entries: entries.flatMap((entry) => (entry ? toEntry(prefix, seal, partition, entry) : [])),
    next: next === NO_ENTRY_ID ? undefined : next,
  }
}

/** An entry as Redis gives it, its seal opened. */
export function toEntry(prefix: string, seal: Seal, partition: number, [id, fields]: RawEntry): Entry {
  const closed = fields?.[fields.indexOf(FIELD) + 1]
  return { partition, id, text: closed === undefined ? undefined : seal.open(streamKey(prefix, partition), closed) }
}
