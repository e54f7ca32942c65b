/** The few figures of a process that live views show, taken from its metrics. */
import type { Counter, Gauge, Histogram } from 'prom-client'
import type { IngestMetrics, WorkerMetrics } from './metrics.js'

/**
 * The counts of a histogram: `counts[i]` took up to `bounds[i]` seconds and longer than the bound before; the last one,
 * longer than all.
 */
interface Latency {
  bounds: number[]
  counts: number[]
}

interface Figures {
  counts: Record<string, number>
  latency: Latency
  lastAt: number
  circuits: Record<string, string>
}

/** What an ingest has counted since its start. */
export async function readIngestFigures({ eventsReceived, ingestDuration }: IngestMetrics): Promise<Figures> {
  const received = (...outcomes: string[]) => sumOf(eventsReceived, ({ outcome }) => outcomes.includes(`${outcome}`))
  const [accepted, duplicates, rejected, turnedAway] = await Promise.all([
    received('accepted'),
    received('duplicate'),
    received('conflict', 'refused', 'invalid'),
    received('overloaded', 'unavailable'),
  ])
  const latency = await latencyOf(ingestDuration)
  return { counts: { accepted, duplicates, rejected, turnedAway }, latency, lastAt: 0, circuits: {} }
}

/** What a worker has counted since its start. */
export async function readWorkerFigures(metrics: WorkerMetrics): Promise<Figures> {
  const { eventsProcessed, eventsFailed, retries, duplicates, catchUpEvents, endToEnd, lastProcessed } = metrics
  const [processed, failed, retried, again, caughtUp, lastAt, latency, circuits] = await Promise.all([
    sumOf(eventsProcessed),
    sumOf(eventsFailed),
    sumOf(retries),
    sumOf(duplicates),
    sumOf(catchUpEvents),
    sumOf(lastProcessed),
    latencyOf(endToEnd),
    openCircuits(metrics.circuitState),
  ])
  const counts = { processed, failed, retried, duplicates: again, caughtUp, ...(await countsOfGroups(metrics)) }
  return { counts, latency, lastAt, circuits }
}

/** What windows and joins have handled, and what of it was late: `handled NAME` and `late NAME`. */
async function countsOfGroups({ groupEvents, groupLateEvents }: WorkerMetrics): Promise<Record<string, number>> {
  const handled = (await groupEvents.get()).values.filter(({ labels }) => labels.outcome === 'processed')
  const counts: Record<string, number> = {}
  for (const { labels, value } of (await groupLateEvents.get()).values) {
    counts[`late ${labels.group}`] = value
    counts[`handled ${labels.group}`] = handled.find((one) => one.labels.group === labels.group)?.value ?? 0
  }
  return counts
}

type Labels = Partial<Record<string, string | number>>

async function sumOf<Label extends string>(
  metric: Counter<Label> | Gauge<Label>,
  matches: (labels: Labels) => boolean = () => true,
): Promise<number> {
  const { values } = await metric.get()
  return values.reduce((sum, { labels, value }) => (matches(labels) ? sum + value : sum), 0)
}

async function latencyOf(histogram: Histogram): Promise<Latency> {
  const buckets = (await histogram.get()).values.filter(({ metricName }) => metricName?.endsWith('_bucket'))
  return {
    bounds: buckets.map(({ labels }) => Number(labels.le)).filter(Number.isFinite),
    // The buckets of Prometheus are cumulative.
    counts: buckets.map(({ value }, i) => value - (buckets[i - 1]?.value ?? 0)),
  }
}

const STATES = ['closed', 'half-open', 'open']

async function openCircuits(circuitState: Gauge<'dependency'>): Promise<Record<string, string>> {
  const { values } = await circuitState.get()
  const open = values.filter(({ labels, value }) => labels.dependency !== undefined && value > 0)
  return Object.fromEntries(open.map(({ labels, value }) => [labels.dependency, STATES[value]]))
}
