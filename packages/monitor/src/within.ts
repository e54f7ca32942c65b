/** Waiting for what may fail or take too long, where there is a way without it. */
import { setTimeout as delay } from 'node:timers/promises'

/** What the promise gives; `undefined` when it rejects or takes longer than `ms`. Never rejects. */
export async function within<Result>(ms: number, promise: Promise<Result>): Promise<Result | undefined> {
  const done = new AbortController()
  try {
    return await Promise.race([promise, delay(ms, undefined, { signal: done.signal })])
  } catch {
    return undefined
  } finally {
    done.abort()
  }
}
