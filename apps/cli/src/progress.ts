/** Shows progress: a line that is redrawn on a terminal, or a line from time to time elsewhere. */
import { span } from './table.js'

/** Milliseconds between two lines: on a terminal, and elsewhere. */
const TERMINAL_MS = 100
const PLAIN_MS = 2_000

export interface Progress {
  /** Shows how many are done, and of how many if that is known. */
  show(done: number, total?: number): void
  /** Erases the line on a terminal. */
  end(): void
}

/** The output for progress, separate from results. */
export interface ProgressOutput {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
}

export function createProgress(out: ProgressOutput): Progress {
  const startedAt = performance.now()
  let shownAt = startedAt
  return {
    show(done, total) {
      const now = performance.now()
      if (now - shownAt < (out.isTTY ? TERMINAL_MS : PLAIN_MS)) return
      shownAt = now
      const line = howFar(done, total, (now - startedAt) / 1_000)
      out.write(out.isTTY ? `\r\x1b[2K${line.slice(0, (out.columns ?? 80) - 1)}` : `${line}\n`)
    },
    end() {
      if (out.isTTY) out.write('\r\x1b[2K')
    },
  }
}

/** Count, rate, and the remaining time. */
function howFar(done: number, total: number | undefined, seconds: number): string {
  const perSecond = seconds > 0 ? done / seconds : 0
  const rate = `${figure(Math.round(perSecond))}/s`
  if (total === undefined) return `${figure(done)}, ${rate}`
  const left = perSecond > 0 ? `, ${span((total - done) / perSecond)} left` : ''
  return `${figure(done)} of ${figure(total)}, ${rate}${left}`
}

/** Formats a number with commas. */
export function figure(value: number): string {
  return value.toLocaleString('en')
}
