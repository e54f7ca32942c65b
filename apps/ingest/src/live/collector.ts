/** Watches the pipeline for all viewers, once a second: reads its state, keeps the last hour, and finds problems. */
import {
  type Db,
  type GroupState,
  hasEvents,
  OPERATOR_TENANT,
  type Reads,
  readFigures,
  readWaitingKeys,
  readWorkers,
  type StatefulGroup,
  type ToldFigures,
} from '@eventflow/db'
import { type PipelineLag, type Stock, sparing, within } from '@eventflow/monitor'
import { type Logger, repeat } from '@eventflow/runtime'
import { createHistory, type Point } from './history.js'
import { createLateEvents } from './late-events.js'
import { ratesBetween } from './rates.js'
import { createRecent, tallyBetween } from './recent.js'
import { pointOf, type Snapshot, snapshotOf } from './snapshot.js'

const EVERY_MS = 1_000

/**
 * Rates are computed over this many readings. Processes also publish once a second, but not in step: between two
 * readings a process may have published twice or not at all.
 */
const RATE_READINGS = 4

/** A value that cannot be read within this time counts as unknown, in milliseconds. */
const PATIENCE_MS = 3_000

/** Blocked keys are read at most this often, in milliseconds. */
const WAITING_FRESH_MS = 1_000

/** The most keys that are listed individually. */
const MAX_KEYS = 50

export interface CollectorDeps {
  db: Db
  reads: Reads
  lag: () => Promise<PipelineLag>
  stock: () => Promise<Stock>
  /** The consumer groups that are defined in code. */
  groups: () => Promise<GroupState[]>
  /** The windows and joins among them. */
  stateful: () => Promise<StatefulGroup[]>
  /** The types whose events have no order. */
  unordered: readonly string[]
  attemptsOf: (type: string) => number
  log: Logger
}

export interface Collector {
  /** The last hour, as far as this process has observed it. */
  history(): Point[]
  /** The latest snapshot; undefined in the first second. */
  latest(): Snapshot | undefined
  /** Calls `told` with each snapshot from now on. Returns a function that ends that. */
  follow(told: (snapshot: Snapshot) => void): () => void
  stop(): Promise<void>
}

export function startCollector(deps: CollectorDeps): Collector {
  const { db, reads, lag, stock, groups, stateful, unordered, attemptsOf, log } = deps
  const history = createHistory()
  const followers = new Set<(snapshot: Snapshot) => void>()
  const waitingKeys = sparing(
    () => reads.own((on) => readWaitingKeys(on, OPERATOR_TENANT, { unordered, limit: MAX_KEYS, countBehind: false })),
    WAITING_FRESH_MS,
  )
  const readings: { figures: ToldFigures[]; at: number }[] = []
  const recently = createRecent()
  const lateEvents = createLateEvents()
  let movedAt = performance.now()
  let latest: Snapshot | undefined
  let empty = true

  async function collect(): Promise<void> {
    const known = <Result>(reading: Promise<Result>) => within(PATIENCE_MS, reading)
    const [figures, lagNow, stockNow, workers, waiting, groupsNow, statefulNow, some] = await Promise.all([
      known(readFigures(db)),
      known(lag()),
      known(stock()),
      known(readWorkers(db)),
      known(waitingKeys()),
      known(groups()),
      known(stateful()),
      empty ? known(hasEvents(db)) : true,
    ])
    if (some) empty = false
    const at = performance.now()
    const told = figures ?? readings.at(-1)?.figures ?? []
    const before = readings[0] ?? { figures: told, at: at - EVERY_MS }
    const tally = tallyBetween(readings.at(-1)?.figures ?? told, told)
    const recent = recently.add(tally, at)
    const lateOf = lateEvents.add(readings.at(-1)?.figures ?? told, told, at)
    // No backlog counts as progress.
    if (tally.ended > 0 || lagNow?.unsettled === 0) movedAt = at
    const stalledSeconds = (at - movedAt) / 1_000
    const { rates, workers: workerRates } = ratesBetween(before.figures, told, (at - before.at) / 1_000)
    readings.push({ figures: told, at })
    if (readings.length > RATE_READINGS) readings.shift()
    const read = {
      figures,
      lag: lagNow,
      stock: stockNow,
      workers,
      waiting,
      groups: groupsNow,
      stateful: statefulNow,
      lateOf,
    }
    latest = snapshotOf({ ...read, now: Date.now(), empty, rates, workerRates, recent, stalledSeconds, attemptsOf })
    history.add(pointOf(latest))
    for (const follower of followers) follower(latest)
  }

  /** Resolves with the pause after it. */
  async function collectInTime(): Promise<number> {
    const startedAt = performance.now()
    await collect()
    return Math.max(50, EVERY_MS - (performance.now() - startedAt))
  }

  const collecting = repeat(collectInTime, {
    pauseMs: EVERY_MS,
    onError: (err) => log.warn({ err }, 'looking at the pipeline failed'),
  })

  return {
    history: () => history.points(),
    latest: () => latest,
    follow(told) {
      followers.add(told)
      return () => followers.delete(told)
    },
    stop: () => collecting.stop(),
  }
}
