/** Limits how often values are read that many callers ask for and that may be slightly old. */

/**
 * After a read, the next one begins after this many times its duration, so reading takes at most a fiftieth of the
 * time.
 */
const REST = 50

/** The longest such pause, in milliseconds: older values would be of no use. */
const MAX_REST_MS = 5_000

/** Wraps a reader so that callers share a running read. */
export function shared<Result>(read: () => Promise<Result>): () => Promise<Result> {
  let underWay: Promise<Result> | undefined
  return () => {
    underWay ??= read().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}

/**
 * Wraps a reader so that it may be called as often as needed. It returns the latest result while that is younger than
 * `freshMs`, or than fifty times the duration of the read (at most 5 s). Callers during a read share it. Failures are
 * kept for the same time.
 */
export function sparing<Result>(
  read: () => Promise<Result>,
  freshMs: number,
  now: () => number = () => performance.now(),
): () => Promise<Result> {
  let latest: Promise<Result> | undefined
  let staleAt = 0
  return () => {
    if (latest && now() < staleAt) return latest
    const startedAt = now()
    staleAt = Number.POSITIVE_INFINITY
    latest = read().finally(() => {
      const endedAt = now()
      const restMs = Math.min(REST * (endedAt - startedAt), MAX_REST_MS)
      staleAt = endedAt + Math.max(freshMs, restMs)
    })
    return latest
  }
}
