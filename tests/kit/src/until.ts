/** Waiting for a state that somebody else brings about. */
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Looks until `look` gives something other than undefined or false, and gives that. Throws after `timeoutMs`, with what
 * `look` threw last if it did.
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
