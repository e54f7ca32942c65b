/** The identity of a Redis process and its data. */
import type { Redis } from 'ioredis'
import { isRefusal } from './refusal.js'

/**
 * Resolves with the run id of the server and the replication id of its data. A restart or a failover changes them, and
 * may have lost entries. `null` if the server does not report them; then it must be taken for a new one each time.
 * Rejects when Redis is away.
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
 * Extracts that from the sections of INFO. A process keeps its run id when it becomes a replica and later a primary
 * again; the replication id changes with each primary.
 */
export function runIdIn(server: string, replication: string): string | null {
  const run = /^run_id:(\w+)/m.exec(server)?.[1]
  return run === undefined ? null : `${run} ${/^master_replid:(\w+)/m.exec(replication)?.[1] ?? ''}`
}
