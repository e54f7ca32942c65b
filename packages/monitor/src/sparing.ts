/** Reading what is asked for often and may be a little old. */

/** A new read begins so many times its own duration after the last one: reading takes one per cent of the time at the most. */
const REST = 100

/**
 * A reader that may be asked as often as one likes. It gives what it has read while that is younger than `freshMs`, or than
 * a hundred times what the read took; who asks during a read shares it. A failure is kept just as long.
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
      staleAt = Math.max(endedAt + freshMs, startedAt + REST * (endedAt - startedAt))
    })
    return latest
  }
}
