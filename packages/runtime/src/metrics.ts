/** Every metric, declared once. Base units; counters end in `_total`; no label without a bound. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000]

export type Metrics = ReturnType<typeof createMetrics>

/** The metrics of one process, in a registry of their own. Those of the other kind of process stay at zero. */
export function createMetrics(service: 'ingest' | 'worker') {
  const registry = new Registry()
  registry.setDefaultLabels({ service })
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Counter({ name: `eventflow_${name}`, help, labelNames, registers })
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly Label[] = [],
  ) => new Histogram({ name: `eventflow_${name}`, help, buckets, labelNames, registers })

  return {
    registry,
    eventsReceived: counter('events_received_total', 'Events received over HTTP, by what was answered', [
      'type',
      'outcome',
    ]),
    ingestDuration: histogram('ingest_duration_seconds', 'From the request to its answer', LATENCY_SECONDS),
    flushSize: histogram('flush_size', 'Events inserted by one statement', BATCH_SIZES),
    unpublished: counter('unpublished_total', 'Flushes after which a partition was marked as ahead of its stream'),

    eventsProcessed: counter('events_processed_total', 'Events committed to processed_events', ['type']),
    eventsFailed: counter('events_failed_total', 'Events dead-lettered', ['type', 'error_class']),
    retries: counter('retries_total', 'Attempts that failed and will be made again', ['type']),
    duplicates: counter('duplicates_total', 'Deliveries of events that were settled before'),
    entriesClaimed: counter('entries_claimed_total', 'Pending entries taken over from another worker'),
    catchUpEvents: counter('catch_up_events_total', 'Events taken up from Postgres, by why', ['reason']),
    fencedWrites: counter('fenced_writes_total', 'Batches that were refused because the lease no longer held'),
    settleSize: histogram('settle_size', 'Events settled by one transaction', BATCH_SIZES),
    processingDuration: histogram(
      'event_processing_duration_seconds',
      'From decoding a batch to its COMMIT',
      LATENCY_SECONDS,
    ),
    endToEnd: histogram('end_to_end_seconds', 'From acceptance to the COMMIT of the outcome', LATENCY_SECONDS),
    circuitState: new Gauge({
      name: 'eventflow_circuit_state',
      help: 'State of a dependency: 0 closed, 1 half-open, 2 open',
      labelNames: ['dependency'],
      registers,
    }),
    lastProcessed: new Gauge({
      name: 'eventflow_last_processed_timestamp_seconds',
      help: 'When the last event was settled',
      registers,
    }),
  }
}
