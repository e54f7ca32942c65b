/**
 * Retention: every minute, removes the dead letters and the parts of the ledger that are older than the configured
 * ages, and the marks before the beginning of the log.
 *
 * Only the first of the living workers does it. Dead letters are removed in small chunks, and after each one it pauses
 * for twice the time the chunk took, so that retention uses at most a third of one connection and never starves ingest.
 * Parts are emptied and dropped as a whole (`parts/retire.ts` of `packages/db`).
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Db,
  type Retired,
  readOwnership,
  readStage,
  removeDeadLetters,
  removeMarks,
  retireParts,
} from '@eventflow/db'
import { type Logger, repeat } from '@eventflow/runtime'

/** Dead letters that one transaction checks. */
const CHUNK = 1_000

const ROUND_MS = 60_000

/** A worker that has just started may not be among the living yet; it tries again after this many milliseconds. */
const UNKNOWN_MS = 1_000

export interface RetentionRules {
  /** How many days events are kept after they were processed; 0 means forever. */
  settledDays: number
  /** How many days dead letters are kept after their last change; 0 means forever. */
  deadDays: number
  /** Whether only parts that were archived are removed. */
  archivedOnly: boolean
}

/** The database, and its address for a connection with the rights of the tables' owner. */
interface Ledger {
  db: Db
  url: string
}

export interface RetentionDeps extends Ledger {
  workerId: string
  rules: RetentionRules
  log: Logger
}

export interface Retention {
  /** Stops retention. Resolves after the current chunk or part. */
  stop(): Promise<void>
}

/** Removes old events until stopped. Errors are logged, and the next round tries again. */
export function startRetention({ db, url, workerId, rules, log }: RetentionDeps): Retention {
  let waits = false

  async function round(stopping: AbortSignal): Promise<number> {
    const { workers } = await readOwnership(db)
    if (workers[0] === workerId) {
      if ((await readStage(db)) === 'parts') await remove(stopping)
      else if (!waits) log.info('retention waits until the tables are converted to parts')
      waits = true
    }
    return workers.includes(workerId) ? ROUND_MS : UNKNOWN_MS
  }

  async function remove(stopping: AbortSignal): Promise<void> {
    const letters = await removeOld({ db, url }, rules, stopping, { told: (retired) => logRetired(retired, log) })
    if (letters > 0) log.info({ letters }, 'old dead letters removed')
  }

  if (rules.settledDays === 0 && rules.deadDays === 0) return { stop: async () => {} }
  const onError = (err: unknown) => log.warn({ err }, 'removing old events failed; the next round tries again')
  return repeat(round, { pauseMs: ROUND_MS, onError })
}

/**
 * Runs one round. Ends early if another process is already removing, or `stopping` is aborted. Resolves with the number
 * of removed dead letters; `told` is called with what happens to parts. Rejects when Postgres fails.
 */
export async function removeOld(
  { db, url }: Ledger,
  { settledDays, deadDays, archivedOnly }: RetentionRules,
  stopping: AbortSignal,
  { told, chunk = CHUNK, pauseMs }: { told: (retired: Retired) => void; chunk?: number; pauseMs?: number },
): Promise<number> {
  let letters = 0
  for (let after = 0; deadDays > 0 && !stopping.aborted; ) {
    const startedAt = performance.now()
    const removed = await removeDeadLetters(db, deadDays, { after, limit: chunk, archivedOnly })
    letters += removed?.events ?? 0
    if (!removed || removed.done) break
    after = removed.reached
    await delay(2 * (performance.now() - startedAt), undefined, { signal: stopping }).catch(() => {})
  }
  if (settledDays > 0 && !stopping.aborted) {
    await retireParts({ db, url }, { days: settledDays, archivedOnly }, { stopping, told, ...(pauseMs && { pauseMs }) })
  }
  while (settledDays > 0 && !stopping.aborted) {
    const startedAt = performance.now()
    if (((await removeMarks(db, chunk)) ?? 0) < chunk) break
    await delay(2 * (performance.now() - startedAt), undefined, { signal: stopping }).catch(() => {})
  }
  return letters
}

const TEXTS = {
  emptied: 'part of the ledger emptied',
  'all kept': 'all events of the part are kept',
  'too many kept': 'part not emptied: too many of its events are kept, such as those with dead letters',
  locked: 'part not emptied: other statements use it; the next round tries again',
  'not settled': 'part not emptied: an event in it is not settled',
} as const

function logRetired(retired: Retired, log: Logger): void {
  const { part, from, until } = retired.part
  const range = { part, from_seq: from, until_seq: until }
  if (retired.what === 'dropped') log.info(range, 'part of the ledger dropped')
  else if (retired.what === 'folded') log.info({ ...range, parts: retired.parts }, 'emptied parts folded into one')
  else {
    const { outcome, events, kept, unsettled } = retired
    if (unsettled > 0) log.error({ ...range, unsettled }, 'events below the watermark are not settled; they are kept')
    const level = outcome === 'emptied' ? 'info' : 'warn'
    log[level]({ ...range, events, kept }, TEXTS[outcome])
  }
}
