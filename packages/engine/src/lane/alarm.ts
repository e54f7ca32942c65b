/** Interrupts the waits of a lane, so that it reacts at once. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Feed } from '@eventflow/core'

export interface Alarm {
  /** Ends the current wait; if there is none, the next wait ends at once. */
  ring(): void
  /** Whether `ring` was called since the last reset. */
  isRinging(): boolean
  reset(): void
  /** Waits `ms` milliseconds, or until the alarm rings. */
  sleep(ms: number): Promise<void>
}

/** Creates the alarm of a lane. It interrupts reads of `feed`, if there is one, and calls of `sleep`. */
export function createAlarm(feed?: Pick<Feed, 'wake'>): Alarm {
  let rings = false
  let waking = new AbortController()
  return {
    ring() {
      rings = true
      waking.abort()
      feed?.wake()
    },
    isRinging: () => rings,
    reset() {
      if (rings) waking = new AbortController()
      rings = false
    },
    async sleep(ms) {
      await delay(ms, undefined, { signal: waking.signal }).catch(() => {})
    },
  }
}
