/** Measures how long an input blocks the event loop at a stretch. */

/** The maximum delay of other requests, in milliseconds, on a machine that parses the yardstick in its usual time. */
const MAX_STALL_MS = 100
const YARDSTICK = `[${'[],'.repeat(250_000)}0]`
const YARDSTICK_MS = 10
/** Bodies of megabytes suffer more than the yardstick from other users of memory bandwidth: at most by this factor. */
const SHARED_MEMORY = 2

/** An input that stalls does so every time; disturbance by a busy machine passes. */
const TRIES = 10
/** How often the yardstick is measured for each try: a single one may meet a garbage collection, and excuse a stall. */
const YARDSTICKS = 3

const LOOK_EVERY_MS = 5

/**
 * Runs something that keeps the loop busy, repeats it if that blocked the loop for too long, and throws if it always
 * does. On a slower or busier machine the limit grows with the time of the yardstick, using the best tries of either.
 * Returns the result of the last run; `tries` limits the runs. The loop is shared by the services under test and the
 * test itself, which must do little meanwhile.
 */
export async function unstalled<Result>(work: () => Promise<Result>, tries = TRIES): Promise<Result> {
  let [stall, yardstick] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let n = 0; n < tries; n++) {
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

/** The result, and the longest time, in milliseconds, in which the loop did nothing else. */
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

/** Waiting for a processor that others use does not count, nor does the work of threads beside the loop. */
function between(from: ReturnType<typeof now>, to: ReturnType<typeof now>): number {
  const cpu = (to.cpu.user + to.cpu.system - from.cpu.user - from.cpu.system) / 1_000
  return Math.min(cpu, to.wall - from.wall)
}
