/** Waiting for a result that the caller can do without. */
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Resolves with the result of the promise, or with `undefined` if it rejects or takes longer than `ms`. Never rejects.
 */
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
