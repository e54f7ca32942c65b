/** Counts the outcomes of the events and the durations of the requests, in constant space. */
import { createHistogram } from 'node:perf_hooks'
import { type Delivery, EventRejected, type RequestReport } from '@eventflow/client'

/** Maximum distinct reasons; the others count together. */
const REASONS = 20

/** Percentiles in milliseconds. */
export interface Latency {
  p50: number
  p95: number
  p99: number
  max: number
}

export interface Tally {
  sent: number
  accepted: number
  duplicate: number
  rejected: number
  undelivered: number
  /** Tries of requests, and the number of them that failed or got an error. */
  requests: number
  requestsFailed: number
  /** Why events were rejected or undelivered, with counts. */
  reasons: Map<string, number>
}

export interface Counter {
  readonly tally: Tally
  countSent(): void
  countDelivery(delivery: Delivery): void
  countRequest(request: RequestReport): void
  latency(): Latency
}

export function createCounter(): Counter {
  // Microseconds, as an HDR histogram: three significant digits in constant space.
  const durations = createHistogram({ figures: 3 })
  const tally: Tally = {
    sent: 0,
    accepted: 0,
    duplicate: 0,
    rejected: 0,
    undelivered: 0,
    requests: 0,
    requestsFailed: 0,
    reasons: new Map(),
  }
  return {
    tally,
    countSent() {
      tally.sent++
    },
    countDelivery(delivery) {
      if (delivery.status === 'spooled') return // this producer has no spool
      tally[delivery.status]++
      if ('error' in delivery) countReason(tally.reasons, reasonOf(delivery.error))
    },
    countRequest({ events, status, durationMs }) {
      if (events === 0) return
      tally.requests++
      if (status === undefined || status >= 400) tally.requestsFailed++
      if (status !== undefined) durations.record(Math.max(1, Math.round(durationMs * 1000)))
    },
    latency() {
      const ms = (microseconds: number) => Math.round(microseconds / 10) / 100
      const [p50, p95, p99] = [50, 95, 99].map((percent) => ms(durations.percentile(percent)))
      return { p50: p50!, p95: p95!, p99: p99!, max: ms(durations.max) }
    },
  }
}

function countReason(reasons: Map<string, number>, reason: string): void {
  const kept = reasons.has(reason) || reasons.size < REASONS ? reason : 'other reasons'
  reasons.set(kept, (reasons.get(kept) ?? 0) + 1)
}

/** The reason without details of the single event: two events with the same fault have the same reason. */
function reasonOf(error: Error): string {
  if (!(error instanceof EventRejected)) return error.message.replace(/ \(tried \d+ times\)$/, '')
  const { status, title = '', errors = [] } = error.problem
  const faults = errors.map(({ pointer, message }) => `${pointer} ${message}`.trim())
  return [`${status} ${title}`.trim(), faults.join(', ')].filter(Boolean).join(': ')
}
