/** Shows the progress: a line redrawn on a terminal, a line from time to time elsewhere. */
import type { Counter } from './tally.js'

export interface Progress {
  /** Shows the progress of the wait. */
  showWaiting(unsettled: number): void
  /** Ends the display; clears the line on a terminal. */
  end(): void
}

export interface ProgressOptions {
  counter: Counter
  /** Total number of events, if known. */
  total: number | undefined
  out: { isTTY?: boolean; columns?: number; write(text: string): unknown }
}

/** Milliseconds between two updates: on a terminal, and elsewhere. */
const TERMINAL_MS = 200
const PLAIN_MS = 2_000
const BAR_WIDTH = 10

/** Shows the progress of the sending until `end`. */
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
      waiting = `waiting for ${figure(unsettled)} events to be settled`
    },
    end() {
      clearInterval(timer)
      if (out.isTTY) out.write('\r\x1b[2K')
    },
  }
}

function sendingLine({ tally, latency }: Counter, total: number | undefined, seconds: number): string {
  const done = tally.accepted + tally.duplicate + tally.rejected + tally.undelivered
  const { p50, p95, p99 } = latency()
  const failed = tally.requestsFailed > 0 ? `, ${figure(tally.requestsFailed)} requests failed` : ''
  return `${howFar(done, total, seconds)}  p50/95/99 ${p50}/${p95}/${p99} ms${failed}`
}

/** Bar, count, rate and remaining time. */
export function howFar(done: number, total: number | undefined, seconds: number): string {
  const perSecond = Math.round(done / seconds)
  if (total === undefined) return `${figure(done)} events  ${figure(perSecond)}/s`
  const share = total === 0 ? 1 : done / total
  const bar = '█'.repeat(share * BAR_WIDTH).padEnd(BAR_WIDTH, '░')
  const left = perSecond > 0 ? `  ${figure(Math.ceil((total - done) / perSecond))} s left` : ''
  return `${bar} ${Math.floor(share * 100)}%  ${figure(done)}/${figure(total)}  ${figure(perSecond)}/s${left}`
}

function figure(value: number): string {
  return value.toLocaleString('en')
}
