/** Summarizes several rounds, and many latencies. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** The rounds of one figure. */
export interface Spread {
  median: number
  min: number
  max: number
}

/**
 * The median, the minimum and the maximum of some numbers; with an even count the median is the mean of the middle two.
 */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('no values')
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** Latencies in milliseconds. */
export interface Percentiles {
  p50: number
  p95: number
  p99: number
  p999: number
  max: number
}

/** Up to a minute, to three figures. A longer latency counts as a minute. */
const LONGEST_US = 60_000_000

/** Records latencies in an HDR histogram: bounded memory, three exact figures from a microsecond to a minute. */
export class Latencies {
  readonly #histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: LONGEST_US, figures: 3 })

  /** Adds a latency in milliseconds. */
  record(ms: number): void {
    this.#histogram.record(Math.min(Math.max(Math.round(ms * 1_000), 1), LONGEST_US))
  }

  /** The percentiles recorded; all zero if there are none. */
  percentiles(): Percentiles {
    const at = (percentile: number) => (this.#histogram.count > 0 ? this.#histogram.percentile(percentile) / 1_000 : 0)
    return { p50: at(50), p95: at(95), p99: at(99), p999: at(99.9), max: at(100) }
  }
}
