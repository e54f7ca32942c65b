/** Waits until the log has something new for a tenant; all waiting requests share one query. */
import { createTurns } from '@eventflow/core'
import { type Db, type LogNews, type LogPlace, readLastDrawn, readLogEnds, readLogNews } from '@eventflow/db'

const POLL_MS = 100

/** Entries may become visible this long after their positions were drawn; later ones are found by the sweep. */
const COMMITTED_WITHIN_MS = 2_000

/** The log is looked at this often although no position was drawn. */
const SWEEP_MS = 1_000

/** The most waiting requests of a tenant: each reads the log when it has something new. */
const WAITING = { atOnce: Number.POSITIVE_INFINITY, atOnceEach: 250, waitingEach: 0 }

/** What a request waits for. */
interface Wanted {
  tenantId: string
  /** All types, if undefined. */
  types: readonly string[] | undefined
  /** Positions after these, to which the request has read. */
  places: readonly LogPlace[]
}

export interface LogWatch {
  /**
   * Resolves with true once there may be something new, and with false after `timeoutMs` at the latest, when the client
   * has `left` or the service stops. Rejects with TooManyWaitingError if too many requests of the tenant wait.
   */
  untilNew(wanted: Wanted, timeoutMs: number, left: Promise<void>): Promise<boolean>
  /** Ends all waits. */
  stop(): void
}

interface Waiter extends Wanted {
  /** It was there when the log was looked at last, so it knows everything up to there. */
  isKnown: boolean
  done: (isNew: boolean) => void
}

/** Creates a watch, which asks Postgres ten times a second, only while requests wait. */
export function createLogWatch(db: Db, partitions: number): LogWatch {
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  const waiting = new Set<Waiter>()
  const turns = createTurns(WAITING)
  let [polling, stopped] = [false, false]

  async function poll(): Promise<void> {
    polling = true
    const look = createLook()
    while (waiting.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      // While Postgres is away, waiting requests run into their timeouts.
      await look().catch(() => {})
    }
    polling = false
  }

  function createLook(): () => Promise<void> {
    /** Up to where the log is known. */
    let known: Map<number, number> | undefined
    let [drawn, drawnAt, lookedAt] = [0, 0, 0]
    return async () => {
      known ??= new Map((await readLogEnds(db, all)).map(({ partition, last }) => [partition, last]))
      tellNewcomers(known)
      const now = performance.now()
      const last = await readLastDrawn(db)
      if (last !== drawn) [drawn, drawnAt] = [last, now]
      if (now - drawnAt > COMMITTED_WITHIN_MS && now - lookedAt < SWEEP_MS) return
      lookedAt = now
      const from = [...known].map(([partition, after]) => ({ partition, after }))
      for (const news of await readLogNews(db, from)) {
        tell(news)
        known.set(news.partition, Math.max(known.get(news.partition)!, news.position))
      }
    }
  }

  /** What was written between the read of a request and the last look may be for it. */
  function tellNewcomers(known: ReadonlyMap<number, number>): void {
    for (const waiter of [...waiting]) {
      if (!waiter.isKnown && waiter.places.some(({ partition, after }) => after < known.get(partition)!))
        waiter.done(true)
      waiter.isKnown = true
    }
  }

  function tell({ partition, position, tenantId, type }: LogNews): void {
    for (const waiter of [...waiting]) {
      if (waiter.tenantId !== tenantId || waiter.types?.includes(type) === false) continue
      if (waiter.places.some((place) => place.partition === partition && place.after < position)) waiter.done(true)
    }
  }

  return {
    untilNew(wanted, timeoutMs, left) {
      const wait = () =>
        new Promise<boolean>((resolve) => {
          const waiter: Waiter = {
            ...wanted,
            isKnown: false,
            done(isNew) {
              clearTimeout(timer)
              waiting.delete(waiter)
              resolve(isNew)
            },
          }
          const timer = setTimeout(() => waiter.done(false), timeoutMs)
          if (stopped) return waiter.done(false)
          waiting.add(waiter)
          void left.then(() => waiter.done(false))
          if (!polling) void poll()
        })
      return turns.run(wanted.tenantId, wait)
    },
    stop() {
      stopped = true
      for (const { done } of [...waiting]) done(false)
    },
  }
}
