/** Sums of the last five minutes, which are compared with the objective. */
import type { ToldFigures } from '@eventflow/db'
import { countedSince } from './rates.js'

/** The objective, as in `prometheus/rules/slo.yml`: the share of settled events that may take longer or fail. */
export const OBJECTIVE = { withinSeconds: 60, share: 0.001 }

/** Counts of events in a period. */
export interface Tally {
  /** Accepted, duplicates, rejected, and turned away. */
  arrived: number
  /** Answered with 503. */
  turnedAway: number
  /** Processed or failed. */
  ended: number
  /** Of these, failed. */
  failed: number
  /** Of these, settled later than the objective allows. */
  late: number
}

const WINDOW_MS = 300_000

const NONE: Tally = { arrived: 0, turnedAway: 0, ended: 0, failed: 0, late: 0 }

/** Returns what happened between two readings. */
export function tallyBetween(before: readonly ToldFigures[], now: readonly ToldFigures[]): Tally {
  return countedSince(before, now)
    .map(({ service, counts, bounds, latency }): Tally => {
      const sum = (...names: string[]) => names.reduce((total, name) => total + (counts[name] ?? 0), 0)
      const late = latency.filter((_, i) => i > 0 && bounds[i - 1]! >= OBJECTIVE.withinSeconds)
      return {
        arrived: sum('accepted', 'rejected', 'turnedAway') + (service === 'ingest' ? sum('duplicates') : 0),
        turnedAway: sum('turnedAway'),
        ended: sum('processed', 'failed'),
        failed: sum('failed'),
        late: service === 'worker' ? late.reduce((total, count) => total + count, 0) : 0,
      }
    })
    .reduce(add, NONE)
}

/** Sums up the tallies of the last five minutes. `at` is in milliseconds and must not decrease. */
export function createRecent(): { add(tally: Tally, at: number): Tally } {
  const kept: { tally: Tally; at: number }[] = []
  return {
    add(tally, at) {
      kept.push({ tally, at })
      while (kept[0]!.at <= at - WINDOW_MS) kept.shift()
      return kept.reduce((total, { tally }) => add(total, tally), NONE)
    },
  }
}

function add(a: Tally, b: Tally): Tally {
  const sum = (name: keyof Tally) => a[name] + b[name]
  return {
    ...{ arrived: sum('arrived'), turnedAway: sum('turnedAway') },
    ...{ ended: sum('ended'), failed: sum('failed'), late: sum('late') },
  }
}
