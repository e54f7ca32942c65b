/** Waiting for a state that another process or task brings about. */
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Calls `look` until it returns something other than undefined or false, and returns that. Throws after `timeoutMs`,
 * with the last error of `look`, if any.
 */
export async function until<State>(
  what: string,
  look: () => Promise<State | undefined | false> | State | undefined | false,
  timeoutMs = 15_000,
): Promise<State> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    let cause: unknown
    try {
      const state = await look()
      if (state !== undefined && state !== false) return state
    } catch (error) {
      cause = error
    }
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`, { cause })
    await delay(10)
  }
}
