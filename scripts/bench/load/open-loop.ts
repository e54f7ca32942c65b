/**
 * Load at a fixed rate, whatever the answers do: the users of a service do not wait for each other.
 *
 * A latency counts from when the event was *due*, not from when it was sent. A service that stalls for a second delays
 * all events of that second; who counts from the sending sees one slow request (coordinated omission, G. Tene).
 */
import { Latencies } from '../statistics.js'
import type { LoadReport } from './orders.js'

/** When event `n`, from 0 on, is due: in milliseconds after the start, at `rate` events a second. */
export function dueAt(n: number, rate: number): number {
  return (n * 1_000) / rate
}

export interface OpenLoop {
  seconds: number
  rate: number
}

/** Timers are this exact; what it makes events late is in the latencies. */
const TICK_MS = 1

/**
 * Sends events when they are due, each on an idle one of the `lanes`; when none is idle, events wait, and the waiting
 * counts. Rejects with the first error of `send`.
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
        // The one that has been idle longest: a server may close a connection that is never used.
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
