/** Keeps a part of the stack running: when it ends unexpectedly, it is started again after a pause. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Voice } from './output.js'
import type { Running } from './program.js'

/** A part that is started again when it ends. */
export interface Kept {
  /** Resolves with the reason if the part ends before it has ever worked. */
  failedStart: Promise<string>
  /** Stops it for good. */
  stop(): Promise<void>
  kill(): void
}

/** After it has run for this long, the next end counts as the first again. */
const WELL_AFTER_MS = 60_000

/**
 * The pause before a start, after `ends` ends in a row: 1 s, 2 s, 4 s, 8 s, 16 s, then 30 s. The short ones are for
 * events that crash their worker: such an event fails after five crashes.
 */
export function pauseMs(ends: number): number {
  return Math.min(500 * 2 ** ends, 30_000)
}

/** Starts a part, and starts it again whenever it has ended unexpectedly. Rejects only if the first start fails. */
export async function keepRunning(
  start: () => Promise<Running>,
  voice: Voice,
  pause: (ends: number) => number = pauseMs,
): Promise<Kept> {
  let current = await start()
  const first = current
  const failedStart = first.exited.then((how) => (first.hasWorked?.() ? new Promise<never>(() => {}) : how))
  const stopping = new AbortController()

  async function watch(): Promise<void> {
    let ends = 0
    while (true) {
      const startedAt = Date.now()
      const how = await current.exited
      if (stopping.signal.aborted) return
      ends = Date.now() - startedAt > WELL_AFTER_MS ? 1 : ends + 1
      voice.say(`ended unexpectedly (${how})`, 'error')
      await delay(pause(ends), undefined, { signal: stopping.signal }).catch(() => {})
      if (stopping.signal.aborted) return
      voice.say('restarting')
      current = await start().catch(endedAtOnce)
      if (stopping.signal.aborted) return current.stop()
    }
  }

  const watching = watch()
  return {
    failedStart,
    async stop() {
      stopping.abort()
      await current.stop()
      await watching
    },
    kill() {
      stopping.abort()
      current.kill()
    },
  }
}

/** A failed start counts as a part that ended at once. */
function endedAtOnce(error: Error): Running {
  return { exited: Promise.resolve(error.message), stop: async () => {}, kill: () => {} }
}
