/**
 * Retention: every minute, removes the events that are older than the configured ages, a chunk at a time.
 *
 * Only the first of the living workers does it. Chunks are small, and after each one it pauses for twice the time the
 * chunk took, so that retention uses at most a third of one connection and never starves ingest. It removes the oldest
 * events first, partition by partition. Events that are kept longer than their neighbours, such as those with a dead
 * letter, are read again in every round, which costs little.
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  countPartitions,
  type Db,
  type Removed,
  readOwnership,
  removeDeadLetters,
  removeProcessed,
} from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'

/** Events that one transaction checks. */
const CHUNK = 1_000

const ROUND_MS = 60_000

/** A worker that has just started may not be among the living yet; it tries again after this many milliseconds. */
const UNKNOWN_MS = 1_000

/** How many days events are kept after they were settled; 0 means forever. */
export interface RetentionAges {
  settledDays: number
  deadDays: number
}

export interface RetentionDeps {
  db: Db
  workerId: string
  ages: RetentionAges
  log: Logger
}

export interface Retention {
  /** Stops retention. Resolves after the current chunk. */
  stop(): Promise<void>
}

/** Removes old events until stopped. Errors are logged, and the next round tries again. */
export function startRetention({ db, workerId, ages, log }: RetentionDeps): Retention {
  async function round(stopping: AbortSignal): Promise<number> {
    const { workers } = await readOwnership(db)
    if (workers[0] === workerId) {
      const removed = await removeOld(db, ages, stopping)
      if (removed.processed + removed.dead > 0) log.info({ removed }, 'old events removed')
    }
    return workers.includes(workerId) ? ROUND_MS : UNKNOWN_MS
  }

  if (ages.settledDays === 0 && ages.deadDays === 0) return { stop: async () => {} }
  const onError = (err: unknown) => log.warn({ err }, 'removing old events failed; the next round tries again')
  return repeat(round, { pauseMs: ROUND_MS, onError })
}

/**
 * Runs one round. Ends early if another worker is already removing, or `stopping` is aborted. Resolves with the number
 * of removed events. Rejects when Postgres fails.
 */
export async function removeOld(
  db: Db,
  { settledDays, deadDays }: RetentionAges,
  stopping: AbortSignal,
  limit = CHUNK,
): Promise<{ processed: number; dead: number }> {
  const chunks = async (remove: (after: number) => Promise<Removed | undefined>) => {
    let events = 0
    for (let after = 0; !stopping.aborted; ) {
      const startedAt = performance.now()
      const removed = await remove(after)
      events += removed?.events ?? 0
      if (!removed || removed.done) break
      after = removed.reached
      await delay(2 * (performance.now() - startedAt), undefined, { signal: stopping }).catch(() => {})
    }
    return events
  }

  const removed = { processed: 0, dead: 0 }
  if (deadDays > 0) removed.dead = await chunks((after) => removeDeadLetters(db, deadDays, { after, limit }))
  if (settledDays === 0) return removed
  const partitions = await countPartitions(db)
  for (let partition = 0; partition < partitions; partition++) {
    removed.processed += await chunks((after) => removeProcessed(db, settledDays, { partition, after, limit }))
  }
  return removed
}
