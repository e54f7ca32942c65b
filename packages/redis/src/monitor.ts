/**
 * The lag of the group in its streams. It does not use the `lag` of XINFO, which is wrong once entries were deleted.
 */
import type { FeedLag, FeedMonitor } from '@eventflow/core'
import type { Redis } from 'ioredis'
import { runIdIn } from './run-id.js'
import { streamKey } from './stream-key.js'
import { groupIn } from './xinfo.js'

/** Creates a monitor of the streams under a prefix. */
export function createRedisMonitor(redis: Redis, prefix: string): FeedMonitor {
  return {
    lag: (partitions) => readStreamLag(redis, prefix, partitions),
    ping: () => redis.ping(),
  }
}

/** Reads the lag of all streams in two round trips. Rejects when Redis is away. */
async function readStreamLag(redis: Redis, prefix: string, partitions: number): Promise<FeedLag> {
  const keys = Array.from({ length: partitions }, (_, partition) => streamKey(prefix, partition))
  const look = redis.pipeline().info('server').info('replication').time()
  for (const key of keys) look.xlen(key).xinfo('GROUPS', key)
  const [server, replication, time, ...replies] = (await look.exec()) ?? []
  const identity = runIdIn(String(answer(server)), String(answer(replication)))
  const [seconds, micros] = answer(time) as [string, string]
  const nowMs = Number(seconds) * 1_000 + Number(micros) / 1_000

  const streams = keys.map((_, partition) => {
    const length = Number(answer(replies[2 * partition]))
    const group = groupAmong(replies[2 * partition + 1])
    return {
      length,
      pending: Number(group?.get('pending') ?? 0),
      after: String(group?.get('last-delivered-id') ?? '0-0'),
      group,
    }
  })
  const next = redis.pipeline()
  keys.forEach((key, partition) => {
    next.xrange(key, `(${streams[partition]!.after}`, '+', 'COUNT', 1)
  })
  const firsts = ((await next.exec()) ?? []).map((reply) => answer(reply) as [id: string, ...unknown[]][])
  return {
    identity,
    partitions: streams.map(({ length, pending, group }, partition) => {
      const addedMs = Number(firsts[partition]?.[0]?.[0].split('-')[0] ?? nowMs)
      const waitingSeconds = Math.max(0, nowMs - addedMs) / 1_000
      return { partition, length, pending, waitingSeconds, exists: group !== undefined }
    }),
  }
}

type Reply = [error: Error | null, result: unknown] | undefined

function answer(reply: Reply): unknown {
  const [error, result] = reply ?? [new Error('Redis did not answer'), undefined]
  if (error) throw error
  return result
}

/** The fields of our group in a stream; undefined if the stream or the group is missing. */
function groupAmong(reply: Reply): Map<string, unknown> | undefined {
  if (reply?.[0]?.message.includes('no such key')) return undefined
  return groupIn(answer(reply))
}
