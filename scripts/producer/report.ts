/** The final report. */
import type { Latency, Tally } from './tally.js'

/** All figures of a run. Durations in seconds, latencies in milliseconds. */
export interface Report extends Omit<Tally, 'reasons'> {
  reasons: { reason: string; events: number }[]
  latency: Latency
  seconds: number
  eventsPerSecond: number
  settled?: Settled
}

/** What the server settled until the end of the wait; all producers' events of that time. */
export interface Settled {
  processed: number
  failed: number
  unsettled: number
  /** Counted from the last answer. */
  seconds: number
}

/** Maximum reasons shown. */
const REASONS_SHOWN = 5

/** The report for a person. */
export function describeReport(report: Report): string {
  const { requests, requestsFailed, latency, settled } = report
  const lines = [
    `${figure(report.sent)} events sent in ${report.seconds} s, ${figure(report.eventsPerSecond)}/s`,
    '',
    row('accepted', report.accepted),
    row('duplicates', report.duplicate),
    row('rejected', report.rejected),
    row('undelivered', report.undelivered),
    ...describeReasons(report.reasons),
    row('requests', requests) + (requestsFailed > 0 ? `, ${figure(requestsFailed)} of them failed` : ''),
    row('latency', `p50 ${latency.p50} ms, p95 ${latency.p95} ms, p99 ${latency.p99} ms, max ${latency.max} ms`),
  ]
  if (settled) lines.push(row('processed', settled.processed), row('failed', settled.failed), describeSettled(settled))
  return lines.join('\n')
}

function describeSettled({ unsettled, seconds }: Settled): string {
  if (unsettled === 0) return row('settled', `all, ${seconds} s after the last answer`)
  return row('unsettled', `${figure(unsettled)} after ${seconds} s of waiting`)
}

function describeReasons(reasons: Report['reasons']): string[] {
  const shown = reasons.slice(0, REASONS_SHOWN).map(({ reason, events }) => `    ${figure(events)} × ${reason}`)
  return reasons.length > REASONS_SHOWN ? [...shown, `    and ${reasons.length - REASONS_SHOWN} other reasons`] : shown
}

function row(name: string, value: number | string): string {
  return `  ${name.padEnd(12)}${typeof value === 'number' ? figure(value) : value}`
}

function figure(value: number): string {
  return value.toLocaleString('en')
}
