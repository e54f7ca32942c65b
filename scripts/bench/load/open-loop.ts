/**
 * Load at a fixed rate, independent of the answers: the users of a service do not wait for each other.
 *
 * A latency counts from when the event was *due*, not from when it was sent. A service that stalls for a second delays
 * all events of that second; latencies counted from the sending show one slow request (coordinated omission, G. Tene).
 */
import { Latencies } from '../statistics.js'
import type { LoadReport } from './orders.js'

/** When event `n` (from 0) is due: in milliseconds after the start, at `rate` events a second. */
export function dueAt(n: number, rate: number): number {
  return (n * 1_000) / rate
}

export interface OpenLoop {
  seconds: number
  rate: number
}

/** The resolution of timers; the resulting delay is part of the latencies. */
const TICK_MS = 1

/**
 * Sends each event when it is due, on an idle one of the `lanes`; if none is idle, events wait, and the wait counts.
 * Rejects with the first error of `send`.
 */
export async function runOpenLoop(
  { seconds, rate }: OpenLoop,
  lanes: number,
  send: (lane: number) => Promise<unknown>,
): Promise<LoadReport> {
  const total = Math.floor(seconds * rate)
  const latencies = new Latencies()
  const idle = Array.from({ length: lanes }, (_, lane) => lane)
  const startedAt = performance.now()
  const elapsed = () => performance.now() - startedAt
  let begun = 0
  let answered = 0
  await new Promise<void>((done, fail) => {
    const timer = setInterval(sendDue, TICK_MS)
    function sendDue(): void {
      while (begun < total && idle.length > 0 && dueAt(begun, rate) <= elapsed()) {
        // Uses the lane that has been idle longest, because a server may close an unused connection.
        sendOne(idle.shift()!, dueAt(begun++, rate)).catch((error) => {
          clearInterval(timer)
          fail(error)
        })
      }
    }
    async function sendOne(lane: number, due: number): Promise<void> {
      await send(lane)
      latencies.record(elapsed() - due)
      idle.push(lane)
      if (++answered === total) {
        clearInterval(timer)
        done()
      } else sendDue()
    }
  })
  return { events: answered, seconds: elapsed() / 1_000, latency: latencies.percentiles() }
}
