/**
 * The watchdog: reports partitions with a backlog in which no event is settled.
 *
 * If nothing of a partition was settled for a while although it has a backlog, it is *held up* or *stalled*. It is held
 * up if the worker is not the cause: its events are blocked behind a retry, or Postgres is away. Otherwise it is
 * stalled: something in this process hangs.
 */
import type { FeedMonitor } from '@eventflow/core'
import type { Db } from '@eventflow/db'
import { type PartitionLag, readLag, sparing } from '@eventflow/monitor'
import { type Logger, repeat, type WorkerMetrics } from '@eventflow/runtime'
import type { Activity } from '../lane/activity.js'
import type { Lane } from '../lane/lane.js'
import type { PartitionView } from '../partition/partition-view.js'

/** The longest time between two checks, in milliseconds. */
const CHECK_MS = 5_000

/** Partitions that make no progress, since when (RFC 3339), and the reason as far as it is known. */
export interface Standstill {
  partitions: number[]
  since: string
  why: string
}

interface Standstills {
  stalled: Standstill[]
  heldUp: Standstill[]
}

export interface WorkerHealth extends Standstills {
  /** The process that works under this worker's id instead of this one. */
  rival?: { host: string; pid: number } | undefined
}

export interface Watchdog {
  health(): Standstills
  /** Stops checking. Resolves when the current check has ended. */
  stop(): Promise<void>
}

type Judgement = { kind: 'stalled' | 'heldUp'; why: string } | undefined

/**
 * Judges a partition in which nothing was settled for `stalledAfterMs`. Returns undefined if that is no problem. Times
 * are in milliseconds on the monotonic clock.
 */
export function judge(
  view: Pick<PartitionView, 'waiting' | 'full'>,
  lag: Pick<PartitionLag, 'unsettled' | 'retrying' | 'oldestUnsettledAgeSeconds'>,
  { step, since, lastError }: ReturnType<Activity['state']>,
  { now, stalledAfterMs }: { now: number; stalledAfterMs: number },
): Judgement {
  const backlog = lag.unsettled + lag.retrying
  if (backlog === 0 || lag.oldestUnsettledAgeSeconds * 1_000 < stalledAfterMs) return undefined
  if (now - since >= stalledAfterMs) {
    return { kind: 'stalled', why: `has been ${step} for ${Math.round((now - since) / 1_000)} s` }
  }
  if (view.full)
    return { kind: 'heldUp', why: `${view.waiting} events are blocked behind a retry, as many as may be in memory` }
  if (view.waiting > 0) return { kind: 'heldUp', why: 'events are blocked behind a retry or wait for a dependency' }
  return { kind: 'stalled', why: lastError ? `the last error was: ${lastError}` : 'no error is known' }
}

export interface WatchdogDeps {
  lanes: readonly Lane[]
  workerId: string
  db: Db
  feed: FeedMonitor
  stalledAfterMs: number
  log: Logger
  metrics: WorkerMetrics
}

/** Checks every few seconds. It reads the backlog from Postgres only if a partition has settled nothing for a while. */
export function startWatchdog(deps: WatchdogDeps): Watchdog {
  const { lanes, workerId, db, feed, stalledAfterMs, log, metrics } = deps
  const checkMs = Math.min(CHECK_MS, stalledAfterMs / 3)
  const lag = sparing(() => readLag(db, feed), checkMs / 2)
  let health: Standstills = { stalled: [], heldUp: [] }
  // Time without Postgres does not count: the limit starts again when Postgres answers.
  let postgresBackAt = 0

  async function check(): Promise<Standstills> {
    const now = performance.now()
    const views = lanes.flatMap((lane) =>
      lane
        .partitions()
        .map((view) => ({ ...view, doing: lane.doing(), since: Math.max(view.settledAt, postgresBackAt) })),
    )
    const silent = views.filter(({ since }) => now - since >= stalledAfterMs)
    if (silent.length === 0) return { stalled: [], heldUp: [] }
    const found = await lag().catch((error: Error) => error)
    if (found instanceof Error) {
      postgresBackAt = performance.now()
      return { stalled: [], heldUp: [standstill(silent, `Postgres does not answer: ${found.message}`)] }
    }
    const kinds = { stalled: new Map<string, typeof silent>(), heldUp: new Map<string, typeof silent>() }
    for (const view of silent) {
      const backlog = found.partitions[view.partition]!
      const judgement =
        backlog.owner === workerId ? judge(view, backlog, view.doing, { now, stalledAfterMs }) : undefined
      if (!judgement) continue
      const alike = kinds[judgement.kind]
      alike.set(judgement.why, [...(alike.get(judgement.why) ?? []), view])
    }
    const redisAway = found.redisError === null ? '' : ` (Redis does not answer: ${found.redisError})`
    const standstills = (kind: keyof typeof kinds) =>
      [...kinds[kind]].map(([why, views]) => standstill(views, why + redisAway))
    return { stalled: standstills('stalled'), heldUp: standstills('heldUp') }
  }

  async function checkAndReport(): Promise<void> {
    const before = health.stalled.length > 0
    health = await check()
    const { stalled, heldUp } = health
    metrics.stalled.set(stalled.length > 0 ? 1 : 0)
    if (stalled.length > 0 && !before) {
      for (const { partitions, since, why } of stalled) {
        log.error({ partitions, since, reason: why }, 'stalled: there is a backlog and no event is settled')
      }
    } else if (before && stalled.length === 0) {
      log.warn({ reason: heldUp[0]?.why }, 'no longer stalled')
    }
  }

  const onError = (err: unknown) => log.warn({ err }, 'the watchdog failed')
  const checking = repeat(checkAndReport, { pauseMs: checkMs, pauseFirst: true, onError })
  return { health: () => health, stop: checking.stop }
}

/** Converts `since` from the monotonic clock to wall time. */
function standstill(views: readonly { partition: number; since: number }[], why: string): Standstill {
  const forMs = performance.now() - Math.min(...views.map(({ since }) => since))
  return { partitions: views.map(({ partition }) => partition), since: new Date(Date.now() - forMs).toISOString(), why }
}
