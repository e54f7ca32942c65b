/** Watches the pipeline, once a second, for all who look: reads once, keeps the last hour, says what is wrong. */
import {
  type Db,
  hasEvents,
  type KnownWorker,
  OPERATOR_TENANT,
  readFigures,
  readWaitingKeys,
  readWorkers,
  type ToldFigures,
  type WaitingKey,
} from '@eventflow/db'
import { type PartitionLag, type PipelineLag, type Stock, sparing, within } from '@eventflow/monitor'
import { type Logger, repeat } from '@eventflow/runtime'
import { createHistory, type Point } from './history.js'
import { type Rates, ratesBetween, type WorkerRate } from './rates.js'
import { createRecent, type Tally, tallyBetween } from './recent.js'
import { findTroubles, type Trouble } from './troubles.js'

const EVERY_MS = 1_000

/**
 * Rates are those since so many readings ago. Processes tell once a second too, but not in step: from one reading to the next
 * one of them may have told twice or not at all.
 */
const RATE_READINGS = 4

/** What cannot be read in this time is not known, in milliseconds. */
const PATIENCE_MS = 3_000

/** Keys that wait are read so often at the most, in milliseconds. */
const WAITING_FRESH_MS = 1_000

/** More keys than these are not told of one by one. */
const MAX_KEYS = 50

/** Types with fewer dead letters than so many others are counted together: anybody can make up names. */
const MAX_TYPES = 50

/** What a point of the history holds, in this order. */
export const SERIES = [
  'in',
  'out',
  'failed',
  'retried',
  'p50',
  'p95',
  'p99',
  'answered95',
  'backlog',
  'oldest',
  'dead',
  'rejected',
] as const

/** How the pipeline is at a moment. */
export interface Moment {
  at: number
  /** Whether any event was ever accepted. */
  empty: boolean
  rates: Rates
  /** Of the last five minutes, as far as this process has seen them. */
  recent: Tally
  backlog: number | null
  retrying: number | null
  oldest: number | null
  dead: number | null
  /** Of the types that have the most, and of all others together. */
  deadByType: Record<string, number>
  deadOfOtherTypes: number
  workers: (KnownWorker & Partial<WorkerRate> & { lastAt: number; circuits: Record<string, string> })[]
  partitions: PartitionLag[]
  redisError: string | null
  troubles: Trouble[]
}

export interface CollectorDeps {
  db: Db
  lag: () => Promise<PipelineLag>
  stock: () => Promise<Stock>
  /** The types whose events wait for nobody. */
  unordered: readonly string[]
  attemptsOf: (type: string) => number
  log: Logger
}

export interface Collector {
  /** The last hour, as far as this process has seen it. */
  history(): Point[]
  /** The latest moment; nothing in the first second. */
  latest(): Moment | undefined
  /** Has `told` told of each moment from now on. Gives what ends that. */
  follow(told: (moment: Moment) => void): () => void
  stop(): Promise<void>
}

export function startCollector({ db, lag, stock, unordered, attemptsOf, log }: CollectorDeps): Collector {
  const history = createHistory()
  const followers = new Set<(moment: Moment) => void>()
  const waitingKeys = sparing(
    () => readWaitingKeys(db, OPERATOR_TENANT, { unordered, limit: MAX_KEYS, countBehind: false }),
    WAITING_FRESH_MS,
  )
  const readings: { figures: ToldFigures[]; at: number }[] = []
  const recently = createRecent()
  let movedAt = performance.now()
  let latest: Moment | undefined
  let empty = true

  async function collect(): Promise<void> {
    const known = <Result>(reading: Promise<Result>) => within(PATIENCE_MS, reading)
    const [figures, lagNow, stockNow, workers, waiting, some] = await Promise.all([
      known(readFigures(db)),
      known(lag()),
      known(stock()),
      known(readWorkers(db)),
      known(waitingKeys()),
      empty ? known(hasEvents(db)) : true,
    ])
    if (some) empty = false
    const at = performance.now()
    const told = figures ?? readings.at(-1)?.figures ?? []
    const before = readings[0] ?? { figures: told, at: at - EVERY_MS }
    const tally = tallyBetween(readings.at(-1)?.figures ?? told, told)
    const recent = recently.add(tally, at)
    // Nothing to do is as good as progress.
    if (tally.ended > 0 || lagNow?.unsettled === 0) movedAt = at
    const stalledSeconds = (at - movedAt) / 1_000
    const { rates, workers: workerRates } = ratesBetween(before.figures, told, (at - before.at) / 1_000)
    readings.push({ figures: told, at })
    if (readings.length > RATE_READINGS) readings.shift()
    const read = { figures, lag: lagNow, stock: stockNow, workers, waiting }
    latest = momentOf({ ...read, rates, workerRates, recent, stalledSeconds })
    history.add(pointOf(latest))
    for (const follower of followers) follower(latest)
  }

  interface Read {
    rates: Rates
    workerRates: WorkerRate[]
    recent: Tally
    stalledSeconds: number
    figures: ToldFigures[] | undefined
    lag: PipelineLag | undefined
    stock: Stock | undefined
    workers: KnownWorker[] | undefined
    waiting: WaitingKey[] | undefined
  }

  function momentOf({ workerRates, stock, ...read }: Read): Moment {
    const { rates, recent, figures = [], lag, workers = [] } = read
    const now = Date.now()
    const dead = deadOf(stock)
    return {
      at: now,
      empty,
      rates,
      recent,
      backlog: lag ? lag.unsettled + lag.retrying : null,
      retrying: lag?.retrying ?? null,
      oldest: lag?.oldestUnsettledAgeSeconds ?? null,
      ...dead,
      workers: workers.map((worker) => {
        const told = figures.find(({ process }) => process === worker.id)
        const rate = workerRates.find(({ process }) => process === worker.id)
        return { ...worker, ...rate, lastAt: told?.lastAt ?? 0, circuits: told?.circuits ?? {} }
      }),
      partitions: lag?.partitions ?? [],
      redisError: lag?.redisError ?? null,
      troubles: findTroubles({ ...read, dead: dead.dead, attemptsOf, now }),
    }
  }

  /** Gives the pause after it. */
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

function deadOf(stock: Stock | undefined): Pick<Moment, 'dead' | 'deadByType' | 'deadOfOtherTypes'> {
  if (!stock) return { dead: null, deadByType: {}, deadOfOtherTypes: 0 }
  const greatestFirst = [...stock.deadLetters].sort(([, a], [, b]) => b - a)
  const sum = (counts: readonly [string, number][]) => counts.reduce((total, [, count]) => total + count, 0)
  return {
    dead: sum(greatestFirst),
    deadByType: Object.fromEntries(greatestFirst.slice(0, MAX_TYPES)),
    deadOfOtherTypes: sum(greatestFirst.slice(MAX_TYPES)),
  }
}

function pointOf({ at, rates, backlog, oldest, dead }: Moment): Point {
  const values = { ...rates, backlog, oldest, dead }
  return { at, values: SERIES.map((name) => values[name]) }
}
