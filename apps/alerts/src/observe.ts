/** Reads the state of the pipeline once. */
import { countFreshDeadLetters, type Db, readProgress } from '@eventflow/db'
import { type PipelineLag, readLag } from '@eventflow/monitor'
import type { Redis } from '@eventflow/redis'

/** The age up to which a dead letter counts as fresh. */
export const FRESH_SECONDS = 300

/** One observation. Values that could not be read are missing. */
export interface Observation {
  /** Why Postgres could not be read. */
  postgresError: string | undefined
  redisError: string | undefined
  lag: PipelineLag | undefined
  freshDeadLetters: number | undefined
  /** Rises when events are settled. */
  progress: number | undefined
}

export async function observe(db: Db, redis: Redis, prefix: string): Promise<Observation> {
  const reading = Promise.all([readLag(db, redis, prefix), countFreshDeadLetters(db, FRESH_SECONDS), readProgress(db)])
  const [postgres, ping] = await Promise.all([reading.catch(messageOf), redis.ping().then(() => undefined, messageOf)])
  if (typeof postgres === 'string') {
    return {
      postgresError: postgres,
      redisError: ping,
      lag: undefined,
      freshDeadLetters: undefined,
      progress: undefined,
    }
  }
  const [lag, freshDeadLetters, progress] = postgres
  return { postgresError: undefined, redisError: ping, lag, freshDeadLetters, progress }
}

/** Some network errors have only a code. */
function messageOf(error: Error & { code?: string }): string {
  return error.message || error.code || error.name
}
