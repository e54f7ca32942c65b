/** Reading what is asked for often and may be a little old. */

/** A new read begins so many times its own duration after the last one: reading takes a fiftieth of the time. */
const REST = 50

/** But it rests no longer than this, in milliseconds: what is older is of no use to anybody. */
const MAX_REST_MS = 5_000

/** A reader whose askers share the read that is under way, if there is one. */
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
 * A reader that may be asked as often as one likes. It gives what it has read while that is younger than `freshMs`, or
 * than fifty times what the read took, up to 5 s; who asks during a read shares it. A failure is kept just as long.
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
