/** Whether an input keeps the process from everything else: for how long at a stretch it has the event loop for itself. */

/** What nobody may be kept waiting for, in milliseconds, on a machine that parses the yardstick in its time. */
const MAX_STALL_MS = 100
const YARDSTICK = `[${'[],'.repeat(250_000)}0]`
const YARDSTICK_MS = 10
/** Bodies of megabytes suffer more than the yardstick from those that share the memory: at the most, so many times as much. */
const SHARED_MEMORY = 2

/** An input that stalls does so every time; what a busy machine does to us passes. */
const TRIES = 10
/** So often the yardstick is taken for each try: a single one may meet a collection of garbage, and excuse what stalls. */
const YARDSTICKS = 3

const LOOK_EVERY_MS = 5

/**
 * Does something that keeps the loop busy, again when that held it up for too long, and throws when it always does. On a slower
 * or busier machine it may hold it up for as much longer as the yardstick takes, in the best of the tries of either. Gives what
 * came of it the last time. The loop is that of the services under test and of the test itself, which must do little meanwhile.
 */
export async function unstalled<Result>(work: () => Promise<Result>): Promise<Result> {
  let [stall, yardstick] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let tries = 0; tries < TRIES; tries++) {
    const { result, longest } = await watched(work)
    stall = Math.min(stall, longest)
    if (stall < MAX_STALL_MS) return result
    const taken = Array.from({ length: YARDSTICKS }, () => timeOf(() => JSON.parse(YARDSTICK)))
    yardstick = Math.min(yardstick, ...taken)
    if (stall < (SHARED_MEMORY * MAX_STALL_MS * yardstick) / YARDSTICK_MS) return result
  }
  throw new Error(
    `the event loop was held up for ${Math.round(stall)} ms; the yardstick took ${Math.round(yardstick)} ms`,
  )
}

/** What came of it, and the longest time, in milliseconds, in which the loop did nothing else. */
async function watched<Result>(work: () => Promise<Result>): Promise<{ result: Result; longest: number }> {
  let longest = 0
  let last = now()
  const look = () => {
    const next = now()
    longest = Math.max(longest, between(last, next))
    last = next
  }
  const looking = setInterval(look, LOOK_EVERY_MS)
  const result = await work().finally(() => clearInterval(looking))
  look()
  return { result, longest }
}

function timeOf(work: () => void): number {
  const start = now()
  work()
  return between(start, now())
}

const now = () => ({ wall: performance.now(), cpu: process.cpuUsage() })

/** Waiting for a processor that others have does not count, nor does what threads do beside the loop. */
function between(from: ReturnType<typeof now>, to: ReturnType<typeof now>): number {
  const cpu = (to.cpu.user + to.cpu.system - from.cpu.user - from.cpu.system) / 1_000
  return Math.min(cpu, to.wall - from.wall)
}
