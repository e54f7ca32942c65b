/** How far the group is behind in its streams. Not by the `lag` of XINFO, which is wrong once entries were deleted. */
import type { Redis } from 'ioredis'
import { streamKey } from './entry.js'
import { GROUP, runIdIn } from './group.js'

export interface StreamLag {
  /** What tells this Redis process from the next; `null` where the server does not say. */
  runId: string | null
  partitions: {
    partition: number
    /** Entries in the stream, delivered or not: settled ones are removed. */
    length: number
    /** Entries that were delivered and not yet acknowledged. */
    pending: number
    /** Seconds since the first undelivered entry was added, by the clock of Redis; 0 where there is none. */
    waitingSeconds: number
    /** False where the stream was never read, or is not what it was. */
    hasGroup: boolean
  }[]
}

/** The lag in all streams, in two round trips. Rejects when Redis is away. */
export async function readStreamLag(redis: Redis, prefix: string, partitions: number): Promise<StreamLag> {
  const keys = Array.from({ length: partitions }, (_, partition) => streamKey(prefix, partition))
  const look = redis.pipeline().info('server').info('replication').time()
  for (const key of keys) look.xlen(key).xinfo('GROUPS', key)
  const [server, replication, time, ...replies] = (await look.exec()) ?? []
  const runId = runIdIn(String(answer(server)), String(answer(replication)))
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
    runId,
    partitions: streams.map(({ length, pending, group }, partition) => {
      const addedMs = Number(firsts[partition]?.[0]?.[0].split('-')[0] ?? nowMs)
      const waitingSeconds = Math.max(0, nowMs - addedMs) / 1_000
      return { partition, length, pending, waitingSeconds, hasGroup: group !== undefined }
    }),
  }
}

type Reply = [error: Error | null, result: unknown] | undefined

function answer(reply: Reply): unknown {
  const [error, result] = reply ?? [new Error('Redis has not answered'), undefined]
  if (error) throw error
  return result
}

/** Our group among those of a stream, its fields by name; nothing where the stream or the group is missing. */
function groupAmong(reply: Reply): Map<string, unknown> | undefined {
  if (reply?.[0]?.message.includes('no such key')) return undefined
  return (answer(reply) as unknown[][]).map(fieldsOf).find((fields) => fields.get('name') === GROUP)
}

function fieldsOf(flat: unknown[]): Map<string, unknown> {
  return new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[String(name), flat[i + 1]] as const] : [])))
}
