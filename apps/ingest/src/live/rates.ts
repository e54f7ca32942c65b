/** Computes rates from the counters of the processes. */
import type { ToldFigures } from '@eventflow/db'

/** Rates per second, and latencies in seconds, `null` if nothing was measured. */
export interface Rates {
  in: number
  out: number
  failed: number
  retried: number
  /** Without duplicates: they only need an answer. */
  rejected: number
  turnedAway: number
  /** From acceptance to settled. */
  p50: number | null
  p95: number | null
  p99: number | null
  /** From a request to its answer. */
  answered95: number | null
}

/** The rates of one worker. */
export interface WorkerRate {
  process: string
  processed: number
  failed: number
}

/** Returns what the processes have counted between two readings. A process that was restarted meanwhile began at 0. */
export function countedSince(before: readonly ToldFigures[], now: readonly ToldFigures[]) {
  return now.map((figures) => {
    const earlier = before.find(({ process, run }) => process === figures.process && run === figures.run)
    // A process that is new to the reader may have counted for hours, so it counts only from now on.
    const from = earlier ?? figures
    return {
      process: figures.process,
      service: figures.service,
      counts: Object.fromEntries(
        Object.entries(figures.counts).map(([name, count]) => [name, Math.max(0, count - (from.counts[name] ?? 0))]),
      ) as Record<string, number | undefined>,
      bounds: figures.latency.bounds,
      latency: figures.latency.counts.map((count, i) => Math.max(0, count - (from.latency.counts[i] ?? 0))),
    }
  })
}

/** Returns the rates between two readings that are `seconds` apart. */
export function ratesBetween(
  before: readonly ToldFigures[],
  now: readonly ToldFigures[],
  seconds: number,
): { rates: Rates; workers: WorkerRate[] } {
  const counted = countedSince(before, now)
  const perSecond = (count: number) => Math.round((count / seconds) * 10) / 10
  const sum = (name: string) => perSecond(counted.reduce((total, { counts }) => total + (counts[name] ?? 0), 0))
  const of = (service: string) => counted.filter((process) => process.service === service)
  const ends = mergeBuckets(of('worker'))
  return {
    rates: {
      in: sum('accepted'),
      out: sum('processed'),
      failed: sum('failed'),
      retried: sum('retried'),
      rejected: sum('rejected'),
      turnedAway: sum('turnedAway'),
      p50: quantile(0.5, ends),
      p95: quantile(0.95, ends),
      p99: quantile(0.99, ends),
      answered95: quantile(0.95, mergeBuckets(of('ingest'))),
    },
    workers: of('worker').map(({ process, counts }) => ({
      process,
      processed: perSecond(counts.processed ?? 0),
      failed: perSecond(counts.failed ?? 0),
    })),
  }
}

interface Buckets {
  bounds: readonly number[]
  counts: readonly number[]
}

function mergeBuckets(processes: readonly { bounds: number[]; latency: number[] }[]): Buckets {
  const [first] = processes
  if (!first) return { bounds: [], counts: [] }
  const counts = first.latency.map((_, i) => processes.reduce((sum, { latency }) => sum + (latency[i] ?? 0), 0))
  return { bounds: first.bounds, counts }
}

/**
 * Returns the `q` quantile of a histogram, with values spread evenly within a bucket. For values above the last bound,
 * it returns the last bound.
 */
export function quantile(q: number, { bounds, counts }: Buckets): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  const rank = q * total
  let seen = 0
  for (const [i, count] of counts.entries()) {
    if (count > 0 && seen + count >= rank) {
      const low = i === 0 ? 0 : bounds[i - 1]!
      const high = bounds[i] ?? low
      return low + (high - low) * ((rank - seen) / count)
    }
    seen += count
  }
  return bounds.at(-1) ?? null
}
