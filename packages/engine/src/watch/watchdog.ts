/**
 * The watchdog: says when events wait for this worker and it settles none.
 *
 * A partition *makes progress*, or has nothing to do. When nothing of it was settled for a while though events wait, it
 * is *held up* by something that is not the worker's fault (its events wait behind a retry, or Postgres is away), or
 * else it is *stalled*: something in this process does not come to an end.
 */
import type { FeedMonitor } from '@eventflow/core'
import type { Db } from '@eventflow/db'
import { type PartitionLag, readLag, sparing } from '@eventflow/monitor'
import { type Logger, repeat, type WorkerMetrics } from '@eventflow/runtime'
import type { Activity } from '../lane/activity.js'
import type { Lane } from '../lane/lane.js'
import type { PartitionView } from '../partition/partition-view.js'

/** The longest time between two looks, in milliseconds. */
const LOOK_MS = 5_000

/** Partitions that make no progress, since when (RFC 3339), and why as far as it is known. */
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
  /** The process that has this worker's id in place of this one. */
  rival?: { host: string; pid: number } | undefined
}

export interface Watchdog {
  health(): Standstills
  /** Waits for a look that is under way. */
  stop(): Promise<void>
}

type Judgement = { kind: 'stalled' | 'heldUp'; why: string } | undefined

/**
 * What is to be said of a partition in which nothing was settled since `since`, if anything. Times are in milliseconds
 * on the monotonic clock.
 */
export function judge(
  held: Pick<PartitionView, 'waiting' | 'full'>,
  lag: Pick<PartitionLag, 'unsettled' | 'retrying' | 'oldestUnsettledAgeSeconds'>,
  { step, since, lastError }: ReturnType<Activity['state']>,
  { now, stalledAfterMs }: { now: number; stalledAfterMs: number },
): Judgement {
  const backlog = lag.unsettled + lag.retrying
  if (backlog === 0 || lag.oldestUnsettledAgeSeconds * 1_000 < stalledAfterMs) return undefined
  if (now - since >= stalledAfterMs) {
    return { kind: 'stalled', why: `has been ${step} for ${Math.round((now - since) / 1_000)} s` }
  }
  if (held.full)
    return { kind: 'heldUp', why: `as many events as may wait in memory (${held.waiting}) wait behind a retry` }
  if (held.waiting > 0) return { kind: 'heldUp', why: 'events wait for another attempt or for a dependency' }
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

/** Looks every few seconds, and asks Postgres for the backlog only when a partition has settled nothing for a while. */
export function startWatchdog(deps: WatchdogDeps): Watchdog {
  const { lanes, workerId, db, feed, stalledAfterMs, log, metrics } = deps
  const lookMs = Math.min(LOOK_MS, stalledAfterMs / 3)
  const lag = sparing(() => readLag(db, feed), lookMs / 2)
  let health: Standstills = { stalled: [], heldUp: [] }
  // An outage of Postgres does not count: whoever waited for it has its time again from then on.
  let postgresBackAt = 0

  async function look(): Promise<Standstills> {
    const now = performance.now()
    const quiet = lanes.flatMap((lane) =>
      lane.held().map((held) => ({ ...held, doing: lane.doing(), since: Math.max(held.settledAt, postgresBackAt) })),
    )
    const silent = quiet.filter(({ since }) => now - since >= stalledAfterMs)
    if (silent.length === 0) return { stalled: [], heldUp: [] }
    const found = await lag().catch((error: Error) => error)
    if (found instanceof Error) {
      postgresBackAt = performance.now()
      return { stalled: [], heldUp: [standstill(silent, `Postgres does not answer: ${found.message}`)] }
    }
    const kinds = { stalled: new Map<string, typeof silent>(), heldUp: new Map<string, typeof silent>() }
    for (const held of silent) {
      const ofPartition = found.partitions[held.partition]!
      const judgement =
        ofPartition.owner === workerId ? judge(held, ofPartition, held.doing, { now, stalledAfterMs }) : undefined
      if (!judgement) continue
      const alike = kinds[judgement.kind]
      alike.set(judgement.why, [...(alike.get(judgement.why) ?? []), held])
    }
    const redisAway = found.redisError === null ? '' : ` (Redis does not answer: ${found.redisError})`
    const told = (kind: keyof typeof kinds) => [...kinds[kind]].map(([why, held]) => standstill(held, why + redisAway))
    return { stalled: told('stalled'), heldUp: told('heldUp') }
  }

  async function lookAndTell(): Promise<void> {
    const before = health.stalled.length > 0
    health = await look()
    const { stalled, heldUp } = health
    metrics.stalled.set(stalled.length > 0 ? 1 : 0)
    if (stalled.length > 0 && !before) {
      for (const { partitions, since, why } of stalled) {
        log.error({ partitions, since, reason: why }, 'stalled: events wait and none is settled')
      }
    } else if (before && stalled.length === 0) {
      log.warn({ reason: heldUp[0]?.why }, 'no longer stalled')
    }
  }

  const onError = (err: unknown) => log.warn({ err }, 'the watchdog failed')
  const looking = repeat(lookAndTell, { pauseMs: lookMs, pauseFirst: true, onError })
  return { health: () => health, stop: looking.stop }
}

/** `since` is on the monotonic clock; people want the other one. */
function standstill(held: readonly { partition: number; since: number }[], why: string): Standstill {
  const forMs = performance.now() - Math.min(...held.map(({ since }) => since))
  return { partitions: held.map(({ partition }) => partition), since: new Date(Date.now() - forMs).toISOString(), why }
}
