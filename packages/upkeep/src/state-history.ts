/** Removes old results of windows and old late events, once a minute. Only the first living worker does. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Db, readOwnership, removeStateHistory } from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'

const EVERY_MS = 60_000

/** A worker that has just started may not be among the living yet; it tries again after this many milliseconds. */
const UNKNOWN_MS = 1_000

/** Rows of each table that one statement removes. */
const CHUNK = 1_000

export interface RemovingStateHistory {
  db: Db
  workerId: string
  /** How many days results and late events are kept; 0 means forever. */
  days: number
  log: Logger
  /** Rows of each table that one statement removes. */
  chunk?: number
}

/**
 * Removes them until stopped. After each chunk it pauses for twice the time that the chunk took. Errors are logged, and
 * the next round tries again.
 */
export function startRemovingStateHistory(removing: RemovingStateHistory): { stop(): Promise<void> } {
  const { db, workerId, days, log, chunk = CHUNK } = removing

  async function round(stopping: AbortSignal): Promise<number> {
    const { workers } = await readOwnership(db)
    if (workers[0] === workerId) await remove(stopping)
    return workers.includes(workerId) ? EVERY_MS : UNKNOWN_MS
  }

  async function remove(stopping: AbortSignal): Promise<void> {
    let [results, lateEvents] = [0, 0]
    for (let more = true; more && !stopping.aborted; ) {
      const startedAt = performance.now()
      const removed = await removeStateHistory(db, days, chunk)
      results += removed.results
      lateEvents += removed.lateEvents
      more = removed.more
      if (more) await delay(2 * (performance.now() - startedAt), undefined, { signal: stopping }).catch(() => {})
    }
    if (results + lateEvents > 0) log.info({ results, late_events: lateEvents }, 'old results of windows removed')
  }

  if (days === 0) return { stop: async () => {} }
  return repeat(round, {
    pauseMs: EVERY_MS,
    onError: (err) => log.warn({ err }, 'removing old results of windows failed; the next round tries again'),
  })
}
