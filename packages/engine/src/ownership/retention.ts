/**
 * Retention: every minute, the events that are older than the configured ages are removed, a chunk at a time.
 *
 * The first of the living workers does it. Chunks are small, and each is followed by a pause of twice the time it took,
 * so that no more than a third of one connection's work goes into it and ingestion always has its turn. The oldest go
 * first, partition by partition. What is kept longer than its neighbours (a dead letter with an age of its own) is
 * passed over again in every round: that is cheap, though not for nothing.
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

/** Events that one transaction looks at. */
const CHUNK = 1_000

const ROUND_MS = 60_000

/** A worker that has only just started is not known yet; it looks again soon, in milliseconds. */
const UNKNOWN_MS = 1_000

/** How many days events are kept after they were settled; 0 is for ever. */
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
  /** Ends after the chunk under way. */
  stop(): Promise<void>
}

/** Removes what is too old, from now on until stopped. Errors are waited out. */
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

/** One round. Ends early when another worker is at it. Gives how many events were removed. */
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
