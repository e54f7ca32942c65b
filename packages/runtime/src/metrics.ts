/** Every metric, declared once. Base units; counters end in `_total`; every label is bounded. */
import { readFileSync } from 'node:fs'
import { CATCH_UP_REASONS, PROBLEMS } from '@eventflow/core'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000]

/** The label value for every undefined type, and for error classes beyond the limit. */
const OTHER = 'other'
const MAX_ERROR_CLASSES = 100

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** The possible results of a received event. */
const OUTCOMES = ['accepted', 'duplicate', 'conflict', 'refused', 'invalid', 'overloaded', 'unavailable'] as const

/** The possible results of an attempt of a consumer group. */
const GROUP_OUTCOMES = ['processed', 'failed', 'retried'] as const

/** Failures that occur without a bug or an outage, and are therefore counted from 0 for every type. */
const COMMON_FAILURES = ['SchemaError', 'RuleViolation']

export type IngestMetrics = ReturnType<typeof createIngestMetrics>
export type WorkerMetrics = ReturnType<typeof createWorkerMetrics>

/** The metrics of an ingest process, and of the pipeline as it sees it. `types` are the defined ones. */
export function createIngestMetrics(types: Iterable<string>) {
  const { counter, gauge, histogram, ...common } = declareFor('ingest', '', types)
  const metrics = {
    ...common,
    eventsReceived: counter('events_received_total', 'Events received over HTTP, by the answer', ['type', 'outcome']),
    requestsRefused: counter('requests_refused_total', 'Requests answered with a problem, by its code', ['code']),
    ingestDuration: histogram('ingest_duration_seconds', 'From the request to its answer', LATENCY_SECONDS),
    connectionsRefused: counter('connections_refused_total', 'Connections closed because too many were open'),
    flushSize: histogram('flush_size', 'Events inserted by one statement', BATCH_SIZES),
    unpublished: counter('unpublished_total', 'Flushes that could not be published and marked a partition dirty'),

    queueDepth: gauge('queue_depth', 'Entries in the stream', ['partition']),
    pending: gauge('pending', 'Entries delivered and not acknowledged', ['partition']),
    consumerLag: gauge('consumer_lag', 'Events not yet delivered to a worker', ['partition']),
    consumerLagSeconds: gauge('consumer_lag_seconds', 'Age of the oldest event not yet delivered', ['partition']),
    partitionOwner: gauge('partition_owner', '1 for the worker that owns the partition', ['partition', 'worker_id']),
    partitionEpoch: gauge('partition_epoch', 'Increases with every change of owner', ['partition']),
    oldestUnsettledAge: gauge('oldest_unsettled_age_seconds', 'Age of the oldest unsettled event'),
    retryingEvents: gauge('retrying_events', 'Events that await a retry or a replay'),
    workers: gauge('workers', 'Workers that are alive'),
    deadLettersOpen: gauge('dead_letters_open', 'Dead letters neither replayed nor discarded', ['type']),
    postgresSize: gauge('postgres_size_bytes', 'Size of the database on disk'),
    partsAhead: gauge('ledger_parts_ahead', 'Parts of the ledger beyond the one that takes new events'),
    postgresCapacity: gauge('postgres_capacity_bytes', 'Capacity for the database, as set'),
    groupLag: gauge('group_lag_events', 'Events that a consumer group has not read yet', ['group']),
    groupLagSeconds: gauge('group_lag_seconds', 'Since the first of them was settled', ['group']),
    groupParked: gauge('group_parked_events', 'Events that a consumer group will handle later', ['group']),
    groupDeadLetters: gauge('group_dead_letters_open', 'Dead letters neither replayed nor discarded', ['group']),
    groupPaused: gauge('group_paused', '1 while the consumer group is paused', ['group']),
    groupUnowned: gauge('group_partitions_unowned', 'Partitions that no worker reads for the group', ['group']),
    windowOpen: gauge('window_open', 'Panes and sessions of a window that are not closed', ['group']),
    watermarkLag: gauge('window_watermark_lag_seconds', 'Since the lowest watermark with something due', ['group']),
    joinRows: gauge('join_rows', 'Events that wait in a join', ['group']),
    standbyLag: gauge('standby_lag_seconds', 'How far the standby for reads is behind'),
    standbyUsed: gauge('standby_used', '1 while reads use the standby'),
    standbyFallbacks: counter('standby_fallbacks_total', 'Reads that ran on the primary instead', ['reason']),
  }
  for (const type of [...common.types, OTHER]) {
    for (const outcome of OUTCOMES) metrics.eventsReceived.inc({ type, outcome }, 0)
  }
  for (const code of Object.keys(PROBLEMS)) metrics.requestsRefused.inc({ code }, 0)
  return metrics
}

/** The metrics of a worker. `types` are the defined ones. */
export function createWorkerMetrics(workerId: string, types: Iterable<string>) {
  const { counter, gauge, histogram, ...common } = declareFor('worker', workerId, types)
  const metrics = {
    ...common,
    eventsProcessed: counter('events_processed_total', 'Events committed to processed_events', ['type']),
    eventsFailed: counter('events_failed_total', 'Events dead-lettered', ['type', 'error_class']),
    errorClassOf: boundedLabel(MAX_ERROR_CLASSES),
    retries: counter('retries_total', 'Failed attempts that will be retried', ['type']),
    duplicates: counter('duplicates_total', 'Deliveries of events that were settled before'),
    entriesClaimed: counter('entries_claimed_total', 'Pending entries taken over from another worker'),
    foreignEntries: counter('foreign_entries_total', 'Stream entries not written by this installation'),
    catchUpEvents: counter('catch_up_events_total', 'Events read from Postgres, by reason', ['reason']),
    lateEvents: counter('late_events_total', 'Events settled long after events of their partition with a later time'),
    fencedWrites: counter('fenced_writes_total', 'Batches refused by the fence'),
    unknownFields: counter('unknown_fields_total', 'Fields of events that no schema defines', ['type']),
    missingFields: counter('missing_fields_total', 'Events without a field that their schema requires', ['type']),
    unhandledErrors: counter('unhandled_errors_total', "Unhandled errors of users' code", ['type']),
    settleSize: histogram('settle_size', 'Events settled by one transaction', BATCH_SIZES),
    processingDuration: histogram(
      'event_processing_duration_seconds',
      'From decoding a batch to its COMMIT',
      LATENCY_SECONDS,
    ),
    queueWait: histogram('queue_wait_seconds', 'From acceptance to the start of the first attempt', LATENCY_SECONDS),
    endToEnd: histogram('end_to_end_seconds', 'From acceptance to the COMMIT that settles the event', LATENCY_SECONDS),
    circuitState: gauge('circuit_state', 'State of a dependency: 0 closed, 1 half-open, 2 open', ['dependency']),
    lastProcessed: gauge('last_processed_timestamp_seconds', 'When the last event was settled'),
    catchingUp: gauge('catching_up', '1 until an owned partition is read from its stream', ['partition']),
    waitingEvents: gauge('waiting_events', 'Blocked events kept in memory', ['partition']),
    groupEvents: counter('group_events_total', 'Events of the log handled by a consumer group', ['group', 'outcome']),
    groupBatchDuration: histogram(
      'group_batch_duration_seconds',
      'From reading a batch of a consumer group to its COMMIT',
      LATENCY_SECONDS,
      ['group'],
    ),
    groupLateEvents: counter('group_late_events_total', 'Events that came too late for a window or a join', ['group']),
    stalled: gauge('worker_stalled', '1 while events wait, none is settled, and the reason is unknown'),
  }
  for (const type of common.types) {
    metrics.eventsProcessed.inc({ type }, 0)
    metrics.retries.inc({ type }, 0)
    metrics.unknownFields.inc({ type }, 0)
    metrics.missingFields.inc({ type }, 0)
    metrics.unhandledErrors.inc({ type }, 0)
    for (const error_class of COMMON_FAILURES) metrics.eventsFailed.inc({ type, error_class }, 0)
  }
  metrics.eventsFailed.inc({ type: OTHER, error_class: 'UnknownType' }, 0)
  metrics.unhandledErrors.inc({ type: OTHER }, 0)
  for (const reason of CATCH_UP_REASONS) metrics.catchUpEvents.inc({ reason }, 0)
  return metrics
}

/** Counts the events and batches of these consumer groups from 0. `hasTime`: it is a window or a join. */
export function countGroups(
  { groupEvents, groupLateEvents, groupBatchDuration }: WorkerMetrics,
  groups: Iterable<{ name: string; hasTime: boolean }>,
): void {
  for (const { name: group, hasTime } of groups) {
    for (const outcome of GROUP_OUTCOMES) groupEvents.inc({ group, outcome }, 0)
    if (hasTime) groupLateEvents.inc({ group }, 0)
    groupBatchDuration.zero({ group })
  }
}

/** The metrics of every process, and functions to declare the others, in a separate registry. */
function declareFor(service: 'ingest' | 'worker', workerId: string, definedTypes: Iterable<string>) {
  const registry = new Registry()
  registry.setDefaultLabels({ service })
  collectDefaultMetrics({ register: registry })
  const common = { registers: [registry] }
  type Labels<Label> = readonly Label[]
  const counter = <Label extends string>(name: string, help: string, labelNames: Labels<Label> = []) =>
    new Counter({ ...common, name: `eventflow_${name}`, help, labelNames })
  const gauge = <Label extends string>(name: string, help: string, labelNames: Labels<Label> = []) =>
    new Gauge({ ...common, name: `eventflow_${name}`, help, labelNames })
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Labels<Label> = [],
  ) => new Histogram({ ...common, name: `eventflow_${name}`, help, buckets, labelNames })

  gauge('build_info', '1; the labels have the versions', ['version', 'worker_id', 'node_version']).set(
    { version, worker_id: workerId, node_version: process.versions.node },
    1,
  )
  const types: ReadonlySet<string> = new Set(definedTypes)
  return {
    registry,
    types,
    /** The label for the type of an event: the type itself if it is defined, otherwise `other`. */
    typeOf: (type: unknown) => (types.has(type as string) ? (type as string) : OTHER),
    dependencyUp: gauge('dependency_up', '1 while the dependency answers', ['dependency']),
    counter,
    gauge,
    histogram,
  }
}

/** Keeps the first `max` different labels, and replaces the others: names of errors come from users' code. */
function boundedLabel(max: number): (label: string) => string {
  const known = new Set<string>()
  return (label) => {
    if (known.size < max) known.add(label)
    return known.has(label) ? label : OTHER
  }
}
