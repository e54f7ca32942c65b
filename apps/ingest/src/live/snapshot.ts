/** A snapshot of the pipeline: rates, backlog, workers, partitions, and problems. */
import type { GroupState, KnownWorker, StatefulGroup, ToldFigures, WaitingKey } from '@eventflow/db'
import type { PartitionLag, PipelineLag, Stock } from '@eventflow/monitor'
import type { Point } from './history.js'
import type { Lateness } from './late-events.js'
import type { Rates, WorkerRate } from './rates.js'
import type { Tally } from './recent.js'
import type { Trouble } from './trouble.js'
import { findTroubles } from './troubles.js'

/**
 * The types with the most dead letters are counted individually, the others together, because clients choose the names
 * of types.
 */
const MAX_TYPES = 50

/** The values of a point of the history, in this order. */
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

/** The state of the pipeline at one time. */
export interface Snapshot {
  at: number
  /** Whether no event was ever accepted. */
  empty: boolean
  rates: Rates
  /** The last five minutes, as far as this process has observed them. */
  recent: Tally
  backlog: number | null
  retrying: number | null
  oldest: number | null
  dead: number | null
  /** For the types that have the most, and for all others together. */
  deadByType: Record<string, number>
  deadOfOtherTypes: number
  workers: (KnownWorker & Partial<WorkerRate> & { lastAt: number; circuits: Record<string, string> })[]
  partitions: PartitionLag[]
  redisError: string | null
  troubles: Trouble[]
}

/** The readings that make up a snapshot; a failed one is `undefined`. */
export interface Read {
  /** In milliseconds since 1970. */
  now: number
  empty: boolean
  rates: Rates
  workerRates: WorkerRate[]
  recent: Tally
  stalledSeconds: number
  figures: ToldFigures[] | undefined
  lag: PipelineLag | undefined
  stock: Stock | undefined
  workers: KnownWorker[] | undefined
  waiting: WaitingKey[] | undefined
  groups: GroupState[] | undefined
  stateful: StatefulGroup[] | undefined
  lateOf: ReadonlyMap<string, Lateness>
  /** The most attempts of an event of a type. */
  attemptsOf: (type: string) => number
}

/** Makes a snapshot. */
export function snapshotOf({ workerRates, stock, ...read }: Read): Snapshot {
  const { now, empty, rates, recent, figures = [], lag, workers = [] } = read
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
    troubles: findTroubles({ ...read, dead: dead.dead, partsAhead: stock?.partsAhead }),
  }
}

function deadOf(stock: Stock | undefined): Pick<Snapshot, 'dead' | 'deadByType' | 'deadOfOtherTypes'> {
  if (!stock) return { dead: null, deadByType: {}, deadOfOtherTypes: 0 }
  const greatestFirst = [...stock.deadLetters].sort(([, a], [, b]) => b - a)
  const sum = (counts: readonly [string, number][]) => counts.reduce((total, [, count]) => total + count, 0)
  return {
    dead: sum(greatestFirst),
    deadByType: Object.fromEntries(greatestFirst.slice(0, MAX_TYPES)),
    deadOfOtherTypes: sum(greatestFirst.slice(MAX_TYPES)),
  }
}

/** Returns the values of a snapshot that the history keeps. */
export function pointOf({ at, rates, backlog, oldest, dead }: Snapshot): Point {
  const values = { ...rates, backlog, oldest, dead }
  return { at, values: SERIES.map((name) => values[name]) }
}
