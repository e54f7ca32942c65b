/** The pause after an error of Postgres or Redis. */
import { setTimeout as delay } from 'node:timers/promises'

/** In milliseconds: after the first error, after the second, and so on. */
const PAUSES_MS = [50, 100, 200, 400, 800, 1_600, 3_000]

/** Waits; the more errors came before this one, the longer, up to 3 s. Returns early when `stopping` is aborted. */
export async function pause(errorsBefore: number, stopping: AbortSignal): Promise<void> {
  const ms = PAUSES_MS[Math.min(errorsBefore, PAUSES_MS.length - 1)]!
  await delay(ms, undefined, { signal: stopping }).catch(() => {})
}
