/** Waits until events are settled; all waiting requests share one query. */
import { createTurns, identityOf } from '@eventflow/core'
import { type Db, findSettledIds } from '@eventflow/db'

const POLL_MS = 50

/**
 * The most waiting requests: each is checked in every poll. Those of a tenant may all end at once, and each then reads
 * its event.
 */
const WAITING = { atOnce: Number.POSITIVE_INFINITY, atOnceEach: 250, waitingEach: 0 }

export interface SettledWatch {
  /**
   * Resolves once the event is settled, after `timeoutMs` at the latest, or when the client has `left`. Rejects with
   * TooManyWaitingError if too many requests of the tenant wait.
   */
  untilSettled(tenantId: string, id: string, timeoutMs: number, left: Promise<void>): Promise<void>
}

/** Creates a watch that asks Postgres every 50 ms, only while requests wait. */
export function createSettledWatch(db: Db): SettledWatch {
  const waiting = new Map<string, { tenantId: string; id: string; done: Set<() => void> }>()
  const turns = createTurns(WAITING)
  let polling = false

  async function poll(): Promise<void> {
    polling = true
    while (waiting.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      // While Postgres is away, waiting requests run into their timeouts.
      const settled = await findSettledIds(db, [...waiting.values()]).catch(() => new Set<string>())
      for (const key of settled) for (const done of [...(waiting.get(key)?.done ?? [])]) done()
    }
    polling = false
  }

  return {
    untilSettled(tenantId, id, timeoutMs, left) {
      const wait = () =>
        new Promise<void>((resolve) => {
          const key = identityOf({ tenantId, id })
          const entry = waiting.get(key) ?? { tenantId, id, done: new Set() }
          waiting.set(key, entry)
          const done = () => {
            clearTimeout(timer)
            if (entry.done.delete(done) && entry.done.size === 0) waiting.delete(key)
            resolve()
          }
          entry.done.add(done)
          const timer = setTimeout(done, timeoutMs)
          void left.then(done)
          if (!polling) void poll()
        })
      return turns.run(tenantId, wait)
    },
  }
}
