/** Observes the pipeline from outside, once. */
import type { FeedMonitor } from '@eventflow/core'
import { countFreshDeadLetters, type Db, readProgress, readReach } from '@eventflow/db'
import { type PipelineLag, readLag } from '@eventflow/monitor'

/** The age up to which dead letters count as fresh. */
export const FRESH_SECONDS = 300

/** The observed values. Unreadable ones are missing. */
export interface Observation {
  /** Why Postgres could not be read. */
  postgresError: string | undefined
  redisError: string | undefined
  lag: PipelineLag | undefined
  freshDeadLetters: number | undefined
  /** Increases whenever an event is settled. */
  progress: number | undefined
  /** Parts of the ledger beyond the one that takes new events. */
  partsAhead: number | undefined
}

export async function observe(db: Db, feed: FeedMonitor): Promise<Observation> {
  const reading = Promise.all([
    readLag(db, feed),
    countFreshDeadLetters(db, FRESH_SECONDS),
    readProgress(db),
    readReach(db),
  ])
  const [postgres, ping] = await Promise.all([reading.catch(messageOf), feed.ping().then(() => undefined, messageOf)])
  if (typeof postgres === 'string') {
    return {
      postgresError: postgres,
      redisError: ping,
      lag: undefined,
      freshDeadLetters: undefined,
      progress: undefined,
      partsAhead: undefined,
    }
  }
  const [lag, freshDeadLetters, progress, reach] = postgres
  return { postgresError: undefined, redisError: ping, lag, freshDeadLetters, progress, partsAhead: reach?.ahead }
}

/** Some network errors have a code and no message. */
function messageOf(error: Error & { code?: string }): string {
  return error.message || error.code || error.name
}
