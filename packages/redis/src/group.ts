/** The streams of the partitions and their consumer group: creating them, reading positions, removing entries. */
import { CONSUMER_GROUP, type Entry } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { NO_ENTRY_ID } from './entry-id.js'
import { type RawEntry, toEntry } from './reading.js'
import { isRefusal } from './refusal.js'
import type { Seal } from './seal.js'
import { streamKey } from './stream-key.js'
import { fieldsOf, groupIn } from './xinfo.js'

/**
 * Whether the stream of a partition has its group. A stream without a group was never read, or was lost. Resolves with
 * `undefined` if Redis refuses to say. Rejects when Redis is away.
 */
export async function hasGroup(redis: Redis, prefix: string, partition: number): Promise<boolean | undefined> {
  try {
    return groupIn(await redis.xinfo('GROUPS', streamKey(prefix, partition))) !== undefined
  } catch (error) {
    if (!isRefusal(error)) throw error
    return error.message.includes('no such key') ? false : undefined
  }
}

/**
 * Creates the stream of a partition and its group if they are missing. The group begins at 0, never at `$`: entries may
 * have been added before it existed. Resolves with false if Redis refuses, for lack of memory or permission. Rejects
 * when Redis is away.
 */
export async function createGroup(redis: Redis, prefix: string, partition: number): Promise<boolean> {
  try {
    await redis.xgroup('CREATE', streamKey(prefix, partition), CONSUMER_GROUP, '0', 'MKSTREAM')
    return true
  } catch (error) {
    if (!isRefusal(error)) throw error
    return error.message.startsWith('BUSYGROUP')
  }
}

/**
 * Resolves with the id of the newest entry that was ever added to the stream of a partition. Rejects if there is no
 * stream.
 */
export async function readLastEntryId(redis: Redis, prefix: string, partition: number): Promise<string> {
  const info = (await redis.xinfo('STREAM', streamKey(prefix, partition))) as unknown[]
  return String(fieldsOf(info).get('last-generated-id'))
}

/** Reads the entry that will be delivered next, in each partition that has one. */
export async function readFirstUndelivered(
  redis: Redis,
  prefix: string,
  seal: Seal,
  partitions: readonly number[],
): Promise<Map<number, Entry>> {
  const groups = redis.pipeline()
  for (const partition of partitions) groups.xinfo('GROUPS', streamKey(prefix, partition))
  const positions = ((await groups.exec()) ?? []).map(([error, reply]) => {
    if (error) throw error
    return String(groupIn(reply)?.get('last-delivered-id') ?? NO_ENTRY_ID)
  })
  const next = redis.pipeline()
  partitions.forEach((partition, i) => {
    next.xrange(streamKey(prefix, partition), `(${positions[i]}`, '+', 'COUNT', 1)
  })
  const first = new Map<number, Entry>()
  ;((await next.exec()) ?? []).forEach(([error, entries], i) => {
    if (error) throw error
    const [entry] = entries as RawEntry[]
    if (entry) first.set(partitions[i]!, toEntry(prefix, seal, partitions[i]!, entry))
  })
  return first
}

// Checked and deleted in one script, because DELCONSUMER drops the pending list of its consumer.
const REMOVE_IDLE_CONSUMERS = `
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    if consumer[4] == 0 and consumer[2] ~= ARGV[2] then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer[2])
    end
  end`

/** Removes all consumers except this one that have no pending entries: those of workers that are gone. */
export async function removeIdleConsumers(
  redis: Redis,
  prefix: string,
  consumer: string,
  partition: number,
): Promise<void> {
  await redis.eval(REMOVE_IDLE_CONSUMERS, 1, streamKey(prefix, partition), CONSUMER_GROUP, consumer)
}

/**
 * Deletes entries and acknowledges them, because settled events need no entry. One round trip, but no MULTI: Redis
 * refuses every command in a MULTI when its memory is full, so it would stay full. Deleted first: an entry that was
 * acknowledged but not deleted would stay forever without being read again, whereas one that was deleted but not
 * acknowledged is dropped when it is claimed (Redis 6.2 leaves its id pending, without effect).
 */
export async function acknowledge(
  redis: Redis,
  prefix: string,
  entries: readonly Pick<Entry, 'partition' | 'id'>[],
): Promise<void> {
  if (entries.length === 0) return
  const byPartition = new Map<number, string[]>()
  for (const { partition, id } of entries) {
    const ids = byPartition.get(partition)
    if (ids) ids.push(id)
    else byPartition.set(partition, [id])
  }
  const pipeline = redis.pipeline()
  for (const [partition, ids] of byPartition) {
    const key = streamKey(prefix, partition)
    pipeline.xdel(key, ...ids)
    pipeline.xack(key, CONSUMER_GROUP, ...ids)
  }
  for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
}

// Runs in the server, so that the removed entries need not be read.
const REMOVE_UP_TO = `
  local ids = {}
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', ARGV[2], 'COUNT', ARGV[3])) do ids[#ids + 1] = entry[1] end
  if #ids > 0 then
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
    redis.call('XDEL', KEYS[1], unpack(ids))
  end
  return #ids`

/** Entries that one call removes. Redis is blocked meanwhile. */
const REMOVED_AT_ONCE = 500

/** Removes the entries up to an id, delivered or not. Their events must be settled or in `retries`. */
export async function removeUpTo(redis: Redis, prefix: string, partition: number, id: string): Promise<void> {
  let removed: unknown
  do {
    removed = await redis.eval(REMOVE_UP_TO, 1, streamKey(prefix, partition), CONSUMER_GROUP, id, REMOVED_AT_ONCE)
  } while (removed === REMOVED_AT_ONCE)
}
