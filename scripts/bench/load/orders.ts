/** The protocol between the bench and its programs: orders and reports. */
import type { Percentiles } from '../statistics.js'

/** How much load: for a time, or a number of events. With `rate`, that many a second, independent of the answers. */
export type LoadOrder = { seconds: number; rate?: number } | { events: number }

/** What the program did. */
export interface LoadReport {
  /** Events that were accepted: answered, committed, added. */
  events: number
  /** From the first to the last answer. */
  seconds: number
  /** Of the requests, in milliseconds; with a rate counted from when they were due. */
  latency?: Percentiles
  /** Of other statements beside them, in milliseconds. */
  others?: Record<string, Percentiles>
}

/** The plan that the program was started with. */
export function planOf<Plan>(): Plan {
  return JSON.parse(process.argv[2]!)
}

/** Reports that the program can be used. */
export function sayReady(): void {
  process.send!({ ready: true })
}

const PROGRESS_MS = 200

/** Reports that the program is ready, and carries out one order after the other. `count` adds finished events. */
export function takeOrders(carryOut: (order: LoadOrder, count: (events: number) => void) => Promise<LoadReport>): void {
  process.channel!.ref() // a pending order may be the only thing that keeps the process alive
  process.on('message', async ({ order }: { order?: LoadOrder }) => {
    if (!order) return
    let events = 0
    const timer = setInterval(() => process.send!({ progress: events }), PROGRESS_MS)
    const report = await carryOut(order, (more) => {
      events += more
    })
    clearInterval(timer)
    process.send!({ report })
  })
  sayReady()
}

/** Concurrent loops, and the number of events in each of their steps. */
export interface Lanes {
  lanes: number
  size: number
}

/** Carries out an order without a rate: repeats `step` in each lane until the time is over, or all events are begun. */
export async function repeat(
  order: LoadOrder,
  { lanes, size }: Lanes,
  count: (events: number) => void,
  step: (lane: number) => Promise<unknown>,
): Promise<LoadReport> {
  const startedAt = performance.now()
  const elapsed = () => (performance.now() - startedAt) / 1_000
  let begun = 0
  let events = 0
  async function run(lane: number): Promise<void> {
    while ('seconds' in order ? elapsed() < order.seconds : begun < order.events) {
      begun += size
      await step(lane)
      events += size
      count(size)
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane)))
  return { events, seconds: elapsed() }
}
