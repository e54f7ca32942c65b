/** Ends the waits of a lane: something asks for its attention. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Feed } from '@eventflow/core'

export interface Alarm {
  /** Ends the wait under way; the next one ends at once. */
  ring(): void
  /** Whether it rang since the last reset. */
  isRinging(): boolean
  reset(): void
  /** Waits `ms` milliseconds, or until the alarm rings. */
  sleep(ms: number): Promise<void>
}

export function createAlarm(feed: Feed): Alarm {
  let rings = false
  let waking = new AbortController()
  return {
    ring() {
      rings = true
      waking.abort()
      feed.wake()
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
