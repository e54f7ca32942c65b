/** Pausing after an error of Postgres or Redis. */
import { setTimeout as delay } from 'node:timers/promises'

/** In milliseconds: after the first error, the second, … */
const PAUSES_MS = [50, 100, 200, 400, 800, 1_600, 3_000]

/** Waits, the longer the more errors came before this one; no longer once `stopping`. */
export async function pause(errorsBefore: number, stopping: AbortSignal): Promise<void> {
  const ms = PAUSES_MS[Math.min(errorsBefore, PAUSES_MS.length - 1)]!
  await delay(ms, undefined, { signal: stopping }).catch(() => {})
}
