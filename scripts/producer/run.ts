/** One run: check the server — send everything — wait until it is settled — report. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, EventText, OutgoingEvent, RequestFailed, Summary } from '@eventflow/client'
import type { Progress } from './progress.js'
import type { Report, Settled } from './report.js'
import type { Counter } from './tally.js'

export interface Load {
  events: AsyncIterable<OutgoingEvent | EventText>
  /** Maximum events a second. */
  rate: number
  /** Requests in flight at once; each key belongs to one of them. */
  concurrency: number
  /** Maximum events in one request. */
  batch: number
  /** How long to wait until everything is settled, in seconds. */
  waitSeconds: number | undefined
}

export interface Means {
  /** Sends the events; its requests are counted. */
  client: Client
  /** Reads the server's counts; does not retry. */
  probe: Client
  counter: Counter
  progress: Progress
  /** Ends the run early; the run also aborts it when the server accepts no more events. */
  stop: AbortController
}

/** How long requests in flight may continue when the run is stopped, in milliseconds. */
const GRACE_MS = 2_000
/** The minimum time between two reads of the server's counts, in milliseconds. */
const LOOK_MS = 250
/** The maximum share of the time spent on these reads: the server counts rows for them. */
const LOOK_SHARE = 0.2

/** Sends the load and waits, if requested. @throws {RequestFailed} if there is no server at the start. */
export async function run(load: Load, means: Means): Promise<Report> {
  const { events: before } = await means.probe.summary()
  const startedAt = performance.now()
  await sendAll(load, means)
  const seconds = secondsSince(startedAt)
  const { waitSeconds } = load
  const settled = waitSeconds === undefined ? {} : { settled: await untilSettled(before, waitSeconds, means) }
  const { reasons, ...tally } = means.counter.tally
  return {
    ...tally,
    reasons: [...reasons].map(([reason, events]) => ({ reason, events })).sort((a, b) => b.events - a.events),
    latency: means.counter.latency(),
    seconds,
    eventsPerSecond: Math.round(tally.sent / Math.max(seconds, 0.01)),
    ...settled,
  }
}

/** Sends the events in order, each at its time, whether the earlier ones were answered or not. */
async function sendAll({ events, rate, concurrency, batch }: Load, { client, counter, stop }: Means): Promise<void> {
  const maxPending = Math.max(10_000, 4 * concurrency * batch)
  const producer = await client.producer({ lanes: concurrency, maxBatch: batch, maxPending })
  stop.signal.addEventListener('abort', () => producer.close({ giveUpAfterMs: GRACE_MS }))
  const startedAt = performance.now()
  for await (const event of events) {
    const early = startedAt + (counter.tally.sent / rate) * 1000 - performance.now()
    if (early > 0) await sleep(early, undefined, { signal: stop.signal }).catch(() => undefined)
    if (stop.signal.aborted) break
    const { delivery } = await producer.enqueue(event)
    counter.countSent()
    void delivery.then((end) => {
      counter.countDelivery(end)
      if (end.status === 'undelivered') stop.abort()
    })
  }
  await producer.close()
}

/** Polls until no event is unsettled, or the time is up. A failed poll (the server restarts) is ignored. */
async function untilSettled(
  before: Counts,
  waitSeconds: number,
  { probe, progress, stop, counter }: Means,
): Promise<Settled> {
  const startedAt = performance.now()
  let now: Counts = { ...before, unsettled: counter.tally.accepted }
  while (true) {
    const lookedAt = performance.now()
    now = await probe.summary().then(
      (summary) => summary.events,
      () => now,
    )
    const seconds = secondsSince(startedAt)
    if (now.unsettled === 0 || seconds >= waitSeconds || stop.signal.aborted) {
      const { unsettled } = now
      return { processed: now.processed - before.processed, failed: now.failed - before.failed, unsettled, seconds }
    }
    progress.showWaiting(now.unsettled)
    await sleep(Math.max(LOOK_MS, (performance.now() - lookedAt) / LOOK_SHARE))
  }
}

type Counts = Summary['events']

/** Advice for a server that does not answer as expected. */
export function explain(error: RequestFailed, url: string): string {
  const { problem, message } = error
  if (problem === undefined) return `nothing answers at ${url} (${message}): is \`npm start\` running?`
  if (problem.status === 401 || problem.status === 403)
    return `${url} refuses this client (${message}): is --api-key right?`
  if (problem.status >= 500) return `the server at ${url} does not work (${message}): look at ${url}/health`
  return `what answers at ${url} is no EventFlow server (${message}): is --url right?`
}

function secondsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) / 10) / 100
}
