/** Overview: do events flow, how long do they take, what is stuck, what fails? */
import { dashboard } from './dashboard.js'
import { figure, graph, quantiles, table, timeline } from './panels.js'

/** The stage of processing that a panel shows, and how to read it. */
const latency = (title: string, description: string, metric: string) =>
  graph({ title, description, width: 6 }, { unit: 's', queries: quantiles(metric) })

const burnRate = (window: string) => ({
  expr: `eventflow:settled_late:ratio_rate${window} / 0.001`,
  legend: window,
})

export const overview = dashboard(
  'overview',
  'EventFlow / Overview',
  'Throughput, latency, backlog and failures of the whole pipeline. Start here.',
  [
    {
      title: 'Now',
      panels: [
        figure(
          { title: 'Accepted', description: 'Events accepted per second. Other answers are shown below.', width: 3 },
          { unit: 'ops', expr: 'sum(eventflow:events_received:rate1m{outcome="accepted"})' },
        ),
        figure(
          { title: 'Settled', description: 'Events settled per second: processed or failed.', width: 3 },
          { unit: 'ops', expr: 'eventflow:events_processed:rate1m + eventflow:events_failed:rate1m' },
        ),
        figure(
          {
            title: 'Oldest unsettled',
            description: 'The age of the oldest unsettled event. Read from Postgres, so it covers every event.',
            width: 3,
          },
          {
            unit: 's',
            expr: 'eventflow:oldest_unsettled_age_seconds:max',
            limits: [
              [30, 'yellow'],
              [60, 'red'],
            ],
          },
        ),
        figure(
          { title: 'Backlog', description: 'Unsettled events: lag plus pending.', width: 3 },
          { unit: 'short', expr: 'eventflow:backlog:sum' },
        ),
        figure(
          {
            title: 'End to end, p99',
            description:
              'From acceptance to the COMMIT that settles the event, in the last minute. The objective is 60 s.',
            width: 3,
          },
          {
            unit: 's',
            expr: 'eventflow:end_to_end_seconds:quantile1m{quantile="0.99"}',
            limits: [
              [10, 'yellow'],
              [60, 'red'],
            ],
          },
        ),
        figure(
          {
            title: 'Error rate',
            description: 'The share of events settled in the last ten minutes that failed.',
            width: 3,
          },
          {
            unit: 'percentunit',
            expr: 'eventflow:dead_letters:ratio_rate10m',
            limits: [
              [0.01, 'yellow'],
              [0.05, 'red'],
            ],
          },
        ),
        figure(
          { title: 'Dead letters', description: 'Open dead letters: neither replayed nor discarded.', width: 3 },
          {
            unit: 'short',
            expr: 'sum(max by (type) (eventflow_dead_letters_open)) or vector(0)',
            limits: [[1, 'yellow']],
          },
        ),
        figure(
          { title: 'Workers', description: 'Workers with a current heartbeat in Postgres.', width: 3 },
          { unit: 'short', expr: 'max(eventflow_workers)' },
        ),
      ],
    },
    {
      title: 'Throughput',
      panels: [
        graph(
          {
            title: 'Received and settled',
            description:
              'Accepted and processed should be the same line. Duplicate: the event was sent again. Overloaded, unavailable: answered 503. Connections are refused above the limit; refused requests show the code of their answer.',
            width: 12,
          },
          {
            unit: 'ops',
            queries: [
              { expr: 'eventflow:events_received:rate1m', legend: 'received: {{outcome}}' },
              { expr: 'eventflow:events_processed:rate1m', legend: 'processed' },
              { expr: 'eventflow:events_failed:rate1m', legend: 'failed' },
              { expr: 'eventflow:retries:rate1m', legend: 'retried' },
              {
                expr: 'sum(rate(eventflow_connections_refused_total[$__rate_interval]))',
                legend: 'connections refused',
              },
              {
                expr: 'sum by (code) (rate(eventflow_requests_refused_total{code!~"event-not-found|overloaded|unavailable"}[$__rate_interval])) > 0',
                legend: 'refused: {{code}}',
              },
            ],
          },
        ),
        graph(
          {
            title: 'Backlog',
            description:
              'Lag: not delivered to a worker yet. Pending: delivered, not acknowledged. Retrying: waiting for a retry, or blocked by one.',
            width: 6,
          },
          {
            unit: 'short',
            queries: [
              { expr: 'sum(max by (partition) (eventflow_consumer_lag))', legend: 'lag' },
              { expr: 'sum(max by (partition) (eventflow_pending))', legend: 'pending' },
              { expr: 'max(eventflow_retrying_events)', legend: 'retrying' },
            ],
          },
        ),
        graph(
          {
            title: 'Oldest unsettled',
            description: 'The age of the oldest unsettled event, and of the oldest not yet delivered to a worker.',
            width: 6,
          },
          {
            unit: 's',
            queries: [
              { expr: 'eventflow:oldest_unsettled_age_seconds:max', legend: 'unsettled' },
              { expr: 'eventflow:consumer_lag_seconds:max', legend: 'not delivered' },
            ],
            limits: [[60, 'red']],
          },
        ),
      ],
    },
    {
      title: 'Latency',
      panels: [
        latency('Accept', 'From a request to its answer, as producers see it.', 'ingest_duration_seconds'),
        latency('Queue', 'From acceptance to the start of the first attempt.', 'queue_wait_seconds'),
        latency('Process', 'One batch, from decoding to COMMIT.', 'event_processing_duration_seconds'),
        latency(
          'End to end',
          'From acceptance to the COMMIT that settles the event, retries included.',
          'end_to_end_seconds',
        ),
      ],
    },
    {
      title: 'Failures',
      panels: [
        graph(
          {
            title: 'Failures by type and error',
            description:
              "Failed events per second, by event type and error class, and unhandled errors of users' code.",
            width: 8,
          },
          {
            unit: 'ops',
            queries: [
              {
                expr: 'sum by (type, error_class) (rate(eventflow_events_failed_total[$__rate_interval]))',
                legend: '{{type}}: {{error_class}}',
              },
              {
                expr: 'sum(rate(eventflow_unhandled_errors_total[$__rate_interval]))',
                legend: 'unhandled errors',
              },
            ],
          },
        ),
        graph(
          {
            title: 'Dead letters by type',
            description: 'Open dead letters: neither replayed nor discarded.',
            width: 8,
          },
          {
            unit: 'short',
            queries: [{ expr: 'max by (type) (eventflow_dead_letters_open)', legend: '{{type}}' }],
          },
        ),
        graph(
          {
            title: 'Burn rate',
            description:
              'How fast the error budget (0.1 % of the events may take longer than 60 s) is used up. 1 is what the objective allows. 14.4 over an hour or 6 over six hours raises a critical alert.',
            width: 8,
          },
          {
            unit: 'short',
            queries: ['5m', '1h', '6h', '3d'].map(burnRate),
            limits: [
              [1, 'yellow'],
              [6, 'red'],
            ],
          },
        ),
      ],
    },
    {
      title: 'Alerts and processes',
      panels: [
        table(
          {
            title: 'Firing alerts',
            description: 'Each alert has a runbook in docs/operating.md.',
            width: 12,
          },
          {
            labels: {
              severity: 'Severity',
              alertname: 'Alert',
              job: 'Job',
              instance: 'Instance',
              partition: 'Partition',
              dependency: 'Dependency',
              type: 'Type',
            },
            columns: [
              {
                header: 'Count',
                expr: 'count by (severity, alertname, job, instance, partition, dependency, type) (ALERTS{alertname=~"EventFlow.+", alertstate="firing"})',
              },
            ],
            height: 8,
            empty: 'none',
          },
        ),
        timeline(
          { title: 'Processes', description: 'Whether Prometheus can scrape each process.', width: 12 },
          {
            query: { expr: 'up{job=~"ingest|worker"}', legend: '{{job}} {{instance}}' },
            states: [
              { text: 'down', color: 'red' },
              { text: 'up', color: 'green' },
            ],
            height: 8,
          },
        ),
      ],
    },
  ],
)
