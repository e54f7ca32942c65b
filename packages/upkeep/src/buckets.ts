/** Turns the buckets of event ids when a window of deduplication has passed. Only the first living worker does. */
import { type Db, endTurn, forgetKept, readBuckets, readOwnership, tidyBuckets, turnBucket } from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'

const EVERY_MS = 5_000

export interface KeepingBuckets {
  db: Db
  /** The address of the database, for a connection with the rights of the tables' owner. */
  url: string
  workerId: string
  /** The days of a bucket; 0: ids are never forgotten. */
  days: number
  log: Logger
  /** The pause between two rounds, in milliseconds. */
  everyMs?: number
  /** For how long a turn lasts at least, in seconds; see `endTurn`. */
  turnSeconds?: number
}

/** Keeps the buckets until stopped. Errors are logged, and the next round tries again. */
export function startKeepingBuckets(keeping: KeepingBuckets): { stop(): Promise<void> } {
  const { db, url, workerId, days, log, everyMs = EVERY_MS, turnSeconds } = keeping
  /** The bucket after whose turn this process has tidied: once after each turn, also that of another process. */
  let tidied: number | undefined
  /** When this process first saw the turn to a bucket: another one may have ended that turn. */
  let seen: { bucket: number; at: string } | undefined

  async function round(): Promise<void> {
    const { workers } = await readOwnership(db)
    const buckets = workers[0] === workerId ? await readBuckets(db) : undefined
    if (!buckets) return
    if (buckets.turning) {
      if (seen?.bucket !== buckets.current) seen = { bucket: buckets.current, at: buckets.readAt }
      if (!(await endTurn(db, seen.at, turnSeconds))) return
      log.info({ bucket: buckets.current }, 'the ids of events are in a new bucket')
    }
    if (tidied !== buckets.current) {
      if (!(await tidyBuckets(url))) return
      const forgotten = await forgetKept(db)
      if (forgotten > 0) log.info({ forgotten }, 'ids of removed events forgotten')
      tidied = buckets.current
    } else if (days > 0 && buckets.days >= days) await turnBucket(url, buckets)
  }

  return repeat(round, {
    pauseMs: everyMs,
    onError: (err) => log.warn({ err }, 'keeping the buckets of event ids failed; the next round tries again'),
  })
}
