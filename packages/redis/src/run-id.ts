/** What tells one Redis process from the next. */
import type { Redis } from 'ioredis'
import { isRefusal } from './refusal.js'

/**
 * The run id of the server, and the replication id of its data: a restart or a failover changes them, and may have lost
 * anything. `null` where the server does not say: then it must be taken for a new one each time.
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
 * That, in the sections of INFO. A process keeps its run id when it becomes a replica and then a primary again; the
 * replication id changes with each primary.
 */
export function runIdIn(server: string, replication: string): string | null {
  const run = /^run_id:(\w+)/m.exec(server)?.[1]
  return run === undefined ? null : `${run} ${/^master_replid:(\w+)/m.exec(replication)?.[1] ?? ''}`
}
