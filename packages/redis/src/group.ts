/** The consumer group of the workers: reading, claiming, acknowledging. */
import type { Redis } from 'ioredis'
import { FIELD, streamKey } from './entry.js'
import type { Seal } from './seal.js'

export const GROUP = 'eventflow'

/** An entry as it was read; `text` is missing where its seal does not hold, or it was removed before it could be claimed. */
export interface Entry {
  partition: number
  id: string
  text: string | undefined
}

/** As Redis gives it; without fields where it was removed. */
type RawEntry = [id: string, fields: string[] | null]

/**
 * Whether the stream of a partition has its group. One that has none was never read, or was lost and is not whole. Nothing where Redis
 * answers that it will not say.
 */
export async function hasGroup(redis: Redis, prefix: string, partition: number): Promise<boolean | undefined> {
  try {
    const groups = (await redis.xinfo('GROUPS', streamKey(prefix, partition))) as unknown[][]
    return groups.some((fields) => fields[fields.indexOf('name') + 1] === GROUP)
  } catch (error) {
    if (!isRefusal(error)) throw error
    return error.message.includes('no such key') ? false : undefined
  }
}

/** Whether Redis has answered, and with an error: it is there, and will not do what it was asked. */
const isRefusal = (error: unknown): error is Error => error instanceof Error && error.name === 'ReplyError'

/**
 * Creates the stream of a partition and its group where they are missing. The group begins at 0, never at `$`: entries may have
 * been added before it existed. Gives false where Redis answers that it will not, for want of memory or of a right.
 */
export async function createGroup(redis: Redis, prefix: string, partition: number): Promise<boolean> {
  try {
    await redis.xgroup('CREATE', streamKey(prefix, partition), GROUP, '0', 'MKSTREAM')
    return true
  } catch (error) {
    if (!isRefusal(error)) throw error
    return error.message.startsWith('BUSYGROUP')
  }
}

/**
 * What tells one Redis from the next: a restart or a failover begins a new one, and may have lost anything.
 * `null` where the server does not say: then it has to be taken for a new one each time.
 */
export async function readRunId(redis: Redis): Promise<string | null> {
  try {
    return runIdIn(await redis.info('server'), await redis.info('replication'))
  } catch (error) {
    if (!isRefusal(error)) throw error
    return null
  }
}

/**
 * That, in the sections of INFO. A process keeps its run id when it becomes a replica and then a primary again; the replication id
 * changes with each primary.
 */
export function runIdIn(server: string, replication: string): string | null {
  const run = /^run_id:(\w+)/m.exec(server)?.[1]
  return run === undefined ? null : `${run} ${/^master_replid:(\w+)/m.exec(replication)?.[1] ?? ''}`
}

/** Who a connection is to its server, and which process that is. */
export async function identify(redis: Redis): Promise<{ clientId: number; runId: string | null }> {
  const clientId = Number(await redis.client('ID'))
  return { clientId, runId: await readRunId(redis) }
}

/** Before all entries. */
export const NO_ENTRY_ID = '0-0'

/** The id of the newest entry that the stream of a partition was ever given. Throws when there is no stream. */
export async function readLastEntryId(redis: Redis, prefix: string, partition: number): Promise<string> {
  const info = (await redis.xinfo('STREAM', streamKey(prefix, partition))) as unknown[]
  return String(info[info.indexOf('last-generated-id') + 1])
}

/** Whether the entry with id `a` was added after the one with id `b`. */
export function isLaterEntry(a: string, b: string): boolean {
  const [[timeA, countA], [timeB, countB]] = [a, b].map((id) => id.split('-').map(Number)) as [number[], number[]]
  return timeA! > timeB! || (timeA === timeB && countA! > countB!)
}

/** The entry that the group will be given next, in each partition that has one. */
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
    const group = (reply as unknown[][]).find((fields) => fields[fields.indexOf('name') + 1] === GROUP)
    return group ? String(group[group.indexOf('last-delivered-id') + 1]) : NO_ENTRY_ID
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

/** What a read gave. */
export interface Reading {
  entries: Entry[]
  /** Partitions of which another consumer holds entries: one that owned them before has gone on reading. */
  strays: number[]
}

/**
 * Reads entries that no consumer was given yet, in order within each partition; waits up to `blockMs` for the first.
 * `count` bounds the entries of each partition. Throws when the connection fails or a stream or its group is gone.
 *
 * An entry is given to one consumer only. If a former owner was given one after everything was claimed, those that come after
 * it would overtake it: so who else holds entries is looked up behind the read, in the same round trip.
 */
export async function readNew(
  redis: Redis,
  prefix: string,
  seal: Seal,
  consumer: string,
  partitions: readonly number[],
  { count, blockMs }: { count: number; blockMs: number },
): Promise<Reading> {
  // BLOCK 0 would wait for ever.
  const block = blockMs > 0 ? ['BLOCK', blockMs] : []
  const keys = partitions.map((partition) => streamKey(prefix, partition))
  const pipeline = redis.pipeline()
  pipeline.call(
    ...(['XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, ...block, 'STREAMS'] as const),
    ...keys,
    ...keys.map(() => '>'),
  )
  for (const key of keys) pipeline.xpending(key, GROUP)
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
 * Takes over the next entries that were delivered to any consumer and not acknowledged, in order, beginning with the id `from`.
 * `next` is where to go on, if there may be more. Only for the owner of the partition: it need not wait for entries to grow
 * stale, since the fence keeps their old consumer from settling them.
 */
export async function claimPending(
  redis: Redis,
  prefix: string,
  seal: Seal,
  consumer: string,
  { partition, from }: { partition: number; from: string },
): Promise<{ entries: Entry[]; next: string | undefined }> {
  const [next, entries] = (await redis.xautoclaim(
    ...([streamKey(prefix, partition), GROUP, consumer, 0, from, 'COUNT', CLAIMED_AT_ONCE] as const),
  )) as [string, (RawEntry | null)[], ...unknown[]]
  return {
    // Redis 6.2 answers nil for an entry that was deleted; Redis 7 forgets it and names it in a third element.
    entries: entries.flatMap((entry) => (entry ? toEntry(prefix, seal, partition, entry) : [])),
    next: next === NO_ENTRY_ID ? undefined : next,
  }
}

// Checked and deleted in one script: DELCONSUMER drops the pending list of its consumer.
const REMOVE_IDLE_CONSUMERS = `
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    if consumer[4] == 0 and consumer[2] ~= ARGV[2] then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer[2])
    end
  end`

/** Removes consumers other than this one that hold nothing: workers that are gone. */
export async function removeIdleConsumers(
  redis: Redis,
  prefix: string,
  consumer: string,
  partition: number,
): Promise<void> {
  await redis.eval(REMOVE_IDLE_CONSUMERS, 1, streamKey(prefix, partition), GROUP, consumer)
}

/**
 * Acknowledges entries and removes them: what is settled has no business in Redis. One round trip, and both or neither: an entry
 * that was acknowledged and not removed would never be read again, and stay for ever.
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
  const transaction = redis.multi()
  for (const [partition, ids] of byPartition) {
    const key = streamKey(prefix, partition)
    transaction.xack(key, GROUP, ...ids)
    transaction.xdel(key, ...ids)
  }
  for (const [error] of (await transaction.exec()) ?? []) if (error) throw error
}

// In the server: what is removed need not be read.
const REMOVE_UP_TO = `
  local ids = {}
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', ARGV[2], 'COUNT', ARGV[3])) do ids[#ids + 1] = entry[1] end
  if #ids > 0 then
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
    redis.call('XDEL', KEYS[1], unpack(ids))
  end
  return #ids`

/** Entries that one call removes: Redis does nothing else meanwhile. */
const REMOVED_AT_ONCE = 500

/** Removes the entries up to an id, delivered or not: their events must have been settled, or be in `retries`. */
export async function removeUpTo(redis: Redis, prefix: string, partition: number, id: string): Promise<void> {
  let removed: unknown
  do {
    removed = await redis.eval(REMOVE_UP_TO, 1, streamKey(prefix, partition), GROUP, id, REMOVED_AT_ONCE)
  } while (removed === REMOVED_AT_ONCE)
}

/** An entry as Redis gives it, its seal opened. */
function toEntry(prefix: string, seal: Seal, partition: number, [id, fields]: RawEntry): Entry {
  const closed = fields?.[fields.indexOf(FIELD) + 1]
  return { partition, id, text: closed === undefined ? undefined : seal.open(streamKey(prefix, partition), closed) }
}
