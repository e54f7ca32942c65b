/**
 * The performance goals of EventFlow, as ratios within one run: absolute figures of two machines are not comparable.
 */
import type { Results, VariantResult } from './results.js'
import type { LoadName } from './suites/ledger/inserts.js'
import type { Ledger } from './suites/ledger/ledger.js'
import { wallsRatio } from './suites/walls.js'

interface Goal {
  what: string
  /** The figure, or `undefined` if its inputs were not measured. */
  figure: (results: Results) => number | undefined
  least?: number
  most?: number
  unit: '×' | 'ms' | '% of a core' | '% more CPU'
}

export interface Judged {
  what: string
  figure: number
  goal: number
  unit: Goal['unit']
  reached: boolean
}

/** The ratio of two end-to-end rates. */
const ratio =
  (name: string, other: string) =>
  (results: Results): number | undefined => {
    const [one, two] = [find(results, name), find(results, other)]
    return one && two && one.eventsPerSecond.median / two.eventsPerSecond.median
  }

const find = ({ variants }: Results, name: string): VariantResult | undefined =>
  variants.find((variant) => variant.name === name)

/** The rate of new tables in parts to that of the tables before. */
const insertsRatio = ({ inserts }: Ledger, load: LoadName): number | undefined =>
  inserts.find((one) => one.layout === 'parts' && one.load === load)?.ratio.eventsPerSecond.median

const GOALS: readonly Goal[] = [
  { what: 'single-64 to naive-64', figure: ratio('single-64', 'naive-64'), least: 4, unit: '×' },
  { what: 'single-256 to naive-256', figure: ratio('single-256', 'naive-256'), least: 5, unit: '×' },
  { what: 'batch-100 to naive-64', figure: ratio('batch-100', 'naive-64'), least: 10, unit: '×' },
  { what: 'batch-500 to naive-64', figure: ratio('batch-500', 'naive-64'), least: 12, unit: '×' },
  { what: 'batch-500 to limit-inserts', figure: ratio('batch-500', 'limit-inserts'), least: 0.7, unit: '×' },
  { what: 'batch-500 to bullmq', figure: ratio('batch-500', 'bullmq'), least: 2, unit: '×' },
  { what: 'batch-500 to pg-boss', figure: ratio('batch-500', 'pg-boss'), least: 3, unit: '×' },
  { what: 'batch-500 to graphile', figure: ratio('batch-500', 'graphile'), least: 1.5, unit: '×' },
  {
    what: '4 workers to 1',
    figure: ratio('ingest-1-workers-4', 'ingest-1-workers-1'),
    least: 0.9,
    unit: '×',
  },
  {
    what: 'single-64, accepted to processed, p99',
    figure: (r) => find(r, 'single-64')?.delivery?.p99,
    most: 25,
    unit: 'ms',
  },
  { what: '1,000 a second, accept p99', figure: (r) => find(r, 'latency-1000')?.accept?.p99, most: 15, unit: 'ms' },
  {
    what: '1,000 a second, accepted to processed, p99',
    figure: (r) => find(r, 'latency-1000')?.delivery?.p99,
    most: 50,
    unit: 'ms',
  },
  {
    what: 'the live page, watched from elsewhere',
    figure: ({ watched }) =>
      watched && (watched.cpuMicroseconds.elsewhere / watched.cpuMicroseconds.unwatched - 1) * 100,
    most: 3,
    unit: '% more CPU',
  },
  {
    what: 'p99 beside the worst tenant, to alone',
    figure: ({ walls }) => walls && wallsRatio(walls),
    most: 2,
    unit: '×',
  },
  { what: 'an idle ingest', figure: ({ idle }) => idle?.corePercent.ingest, most: 2, unit: '% of a core' },
  { what: 'an idle worker', figure: ({ idle }) => idle?.corePercent.worker, most: 2, unit: '% of a core' },
  {
    what: 'in parts to by id, both INSERTs, 500 events',
    figure: ({ ledger }) => ledger && insertsRatio(ledger, 'batches of 500'),
    least: 1,
    unit: '×',
  },
  {
    what: 'in parts to by id, both INSERTs, 20 events',
    figure: ({ ledger }) => ledger && insertsRatio(ledger, 'batches of 20'),
    least: 1,
    unit: '×',
  },
  { what: 'last to first of the long run', figure: ({ scale }) => scale?.lastToFirst, least: 0.97, unit: '×' },
]

/** Judges the goals whose figures are there. */
export function judge(results: Results): Judged[] {
  return GOALS.flatMap(
    ({ what, figure: read, least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY, unit }) => {
      const figure = read(results)
      if (figure === undefined) return []
      const goal = most === Number.POSITIVE_INFINITY ? least : most
      return [{ what, figure, goal, unit, reached: figure >= least && figure <= most }]
    },
  )
}
