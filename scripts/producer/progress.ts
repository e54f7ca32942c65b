/** How far it is: a line that is redrawn on a terminal, a line from time to time elsewhere. */
import type { Counter } from './tally.js'

export interface Progress {
  /** Shows how far the waiting is. */
  showWaiting(unsettled: number): void
  /** Ends the display; what was drawn on a terminal is wiped off. */
  end(): void
}

export interface ProgressOptions {
  counter: Counter
  /** Events in all, where that is known. */
  total: number | undefined
  out: { isTTY?: boolean; columns?: number; write(text: string): unknown }
}

/** Milliseconds between two drawings: on a terminal, and elsewhere. */
const TERMINAL_MS = 200
const PLAIN_MS = 2_000

/** Shows the sending from now on, until `end`. */
export function showProgress({ counter, total, out }: ProgressOptions): Progress {
  const startedAt = performance.now()
  let waiting: string | undefined
  let last = ''

  function draw(): void {
    const line = waiting ?? sendingLine(counter, total, (performance.now() - startedAt) / 1000)
    if (out.isTTY) out.write(`\r\x1b[2K${line.slice(0, (out.columns ?? 80) - 1)}`)
    else if (line !== last) out.write(`${line}\n`)
    last = line
  }

  const timer = setInterval(draw, out.isTTY ? TERMINAL_MS : PLAIN_MS)
  return {
    showWaiting(unsettled) {
      waiting = `waiting for ${unsettled.toLocaleString('en')} events to be settled`
    },
    end() {
      clearInterval(timer)
      if (out.isTTY) out.write('\r\x1b[2K')
    },
  }
}

function sendingLine(counter: Counter, total: number | undefined, seconds: number): string {
  const { accepted, duplicate, rejected, undelivered } = counter.tally
  const done = accepted + duplicate + rejected + undelivered
  const { p50, p95, p99 } = counter.latency()
  const latency = `p50 ${p50} p95 ${p95} p99 ${p99} ms`
  return [...howFar(done, total, seconds), latency].join('  ')
}

/** Bar, count, rate and the time that is left. */
export function howFar(done: number, total: number | undefined, seconds: number): string[] {
  const count = done.toLocaleString('en')
  const perSecond = Math.round(done / seconds)
  const rate = `${perSecond.toLocaleString('en')}/s`
  if (total === undefined) return [`${count} events`, rate]
  const share = total === 0 ? 1 : done / total
  const bar = '█'.repeat(Math.floor(share * 20)).padEnd(20, '░')
  const left = perSecond > 0 ? `${Math.ceil((total - done) / perSecond)} s left` : ''
  return [`${bar} ${Math.floor(share * 100)}%`, `${count} of ${total.toLocaleString('en')}`, rate, left].filter(Boolean)
}
