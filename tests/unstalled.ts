/** Whether an input keeps the process from everything else: how long it has the event loop for itself. */

/** What nobody may be kept waiting for, in milliseconds. */
const MAX_STALL_MS = 100

/** An input that stalls does so every time; what a busy machine does to us passes. */
const TRIES = 10

/**
 * Does something that keeps the loop busy, again when that took too long, and throws when it always does. Gives what came of it
 * the last time. The loop is that of the services under test and of the test itself, which must do little meanwhile.
 */
export async function unstalled<Result>(work: () => Promise<Result>): Promise<Result> {
  const stalls: number[] = []
  while (stalls.length < TRIES) {
    const before = performance.eventLoopUtilization()
    const result = await work()
    const { active } = performance.eventLoopUtilization(before)
    if (active < MAX_STALL_MS) return result
    stalls.push(Math.round(active))
  }
  throw new Error(`the event loop was busy for ${stalls.join(', ')} ms`)
}
