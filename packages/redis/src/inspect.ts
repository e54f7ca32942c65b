/** Facts about a Redis and its streams, for diagnosis. Read-only. */
import type { Entry } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { FIELD, streamKey } from './stream-key.js'
import { fieldsOf, groupIn } from './xinfo.js'

/** Facts that the server reports about itself. */
export interface RedisFacts {
  version: string
  /** Undefined if the server does not report it. */
  runId: string | undefined
  policy: string
  /** In bytes; 0 means no limit. */
  maxMemory: number
  usedMemory: number
  appendOnly: boolean
  /** How often the server syncs its log; undefined if CONFIG is forbidden. */
  appendFsync: string | undefined
  /** The last save to disk failed, so the server refuses writes. */
  writeFailed: boolean
  cluster: boolean
  replica: boolean
  /** The data directory; undefined if CONFIG is forbidden. */
  directory: string | undefined
}

/** Reads the facts about the server. */
export async function inspectRedis(redis: Redis): Promise<RedisFacts> {
  const info = parseInfo(await redis.info())
  return {
    version: info.get('redis_version') ?? '0',
    runId: info.get('run_id'),
    policy: info.get('maxmemory_policy') ?? 'unknown',
    maxMemory: Number(info.get('maxmemory') ?? 0),
    usedMemory: Number(info.get('used_memory') ?? 0),
    appendOnly: info.get('aof_enabled') === '1',
    appendFsync: await readSetting(redis, 'appendfsync'),
    writeFailed: info.get('aof_last_write_status') === 'err' || info.get('rdb_last_bgsave_status') === 'err',
    cluster: info.get('cluster_enabled') === '1',
    replica: info.get('role') === 'slave',
    directory: await readSetting(redis, 'dir'),
  }
}

function parseInfo(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name!, value!]))
}

/** Managed services forbid CONFIG. */
async function readSetting(redis: Redis, name: string): Promise<string | undefined> {
  const reply = (await redis.config('GET', name).catch(() => [])) as string[]
  return reply[1]
}

/** Resolves with the clock of Redis, in milliseconds since 1970. */
export async function readRedisClock(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000
}

/** A partition's stream and the position of the group in it. */
export interface StreamFacts {
  partition: number
  key: string
  length: number
  /** The last id that was assigned, even if the entry was removed. */
  lastId: string
  /** The position of the group; undefined without a group. */
  groupAt: string | undefined
  /** The oldest entry; its text is still sealed. */
  first: Entry | undefined
  /** The newest entry. */
  last: Entry | undefined
}

/** An entry in a reply of Redis. */
type RawEntry = [id: string, fields: string[]]

/** Reads all existing streams of these partitions in one round trip. */
export async function inspectStreams(redis: Redis, prefix: string, partitions: number): Promise<StreamFacts[]> {
  const keys = Array.from({ length: partitions }, (_, partition) => streamKey(prefix, partition))
  const streams = redis.pipeline()
  for (const key of keys) {
    streams.xinfo('STREAM', key).xinfo('GROUPS', key)
    streams.xrange(key, '-', '+', 'COUNT', 1).xrevrange(key, '+', '-', 'COUNT', 1)
  }
  const replies = (await streams.exec()) ?? []
  return keys.flatMap((key, partition) => {
    const [[error, stream], [, groups], [, oldest], [, newest]] = replies.slice(4 * partition, 4 * partition + 4) as [
      [Error | null, unknown[]],
      [Error | null, unknown[][]],
      [Error | null, RawEntry[]],
      [Error | null, RawEntry[]],
    ]
    if (error) {
      if (error.message.includes('no such key')) return []
      throw error
    }
    const facts = fieldsOf(stream)
    const group = groupIn(groups)
    const entryOf = ([entry]: RawEntry[]) =>
      entry && { partition, id: entry[0], text: entry[1][entry[1].indexOf(FIELD) + 1] }
    return {
      partition,
      key,
      length: Number(facts.get('length')),
      lastId: String(facts.get('last-generated-id')),
      groupAt: group && String(group.get('last-delivered-id')),
      first: entryOf(oldest),
      last: entryOf(newest),
    }
  })
}
