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
  'Do events flow, how long do they take, what is stuck and why? Begin here.',
  [
    {
      title: 'Now',
      panels: [
        figure(
          { title: 'In', description: 'Events accepted, a second. The rest of what came in is below.', width: 3 },
          { unit: 'ops', expr: 'sum(eventflow:events_received:rate1m{outcome="accepted"})' },
        ),
        figure(
          { title: 'Out', description: 'Events settled, a second: processed, or failed for good.', width: 3 },
          { unit: 'ops', expr: 'eventflow:events_processed:rate1m + eventflow:events_failed:rate1m' },
        ),
        figure(
          {
            title: 'Oldest unsettled',
            description:
              'How long the oldest event without an end has waited, by Postgres: the one number that knows of every event.',
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
          { title: 'Backlog', description: 'Events that no worker has yet, and those in their hands.', width: 3 },
          { unit: 'short', expr: 'eventflow:backlog:sum' },
        ),
        figure(
          {
            title: 'End to end, p99',
            description: 'From acceptance to the COMMIT of the outcome, of the last minute. The objective is 60 s.',
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
            title: 'Failing',
            description: 'Share of the events of the last ten minutes that became dead letters.',
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
          { title: 'Dead letters', description: 'Open ones: neither replayed nor discarded.', width: 3 },
          {
            unit: 'short',
            expr: 'sum(max by (type) (eventflow_dead_letters_open)) or vector(0)',
            limits: [[1, 'yellow']],
          },
        ),
        figure(
          { title: 'Workers', description: 'Workers that are alive, by their heartbeats in Postgres.', width: 3 },
          { unit: 'short', expr: 'max(eventflow_workers)' },
        ),
      ],
    },
    {
      title: 'Do events flow?',
      panels: [
        graph(
          {
            title: 'In and out',
            description:
              'Accepted and processed should be the same line. Duplicate: it came again. Overloaded, unavailable: it was answered 503. Refused connections were too many at once; refused requests have the code that they were answered with.',
            width: 12,
          },
          {
            unit: 'ops',
            queries: [
              { expr: 'eventflow:events_received:rate1m', legend: 'in: {{outcome}}' },
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
              'Lag: no worker has them yet. Pending: in the hands of a worker. Retrying: they wait for another attempt, or behind one.',
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
            description: 'The age of the oldest event without an end, and of the oldest that no worker has yet.',
            width: 6,
          },
          {
            unit: 's',
            queries: [
              { expr: 'eventflow:oldest_unsettled_age_seconds:max', legend: 'without an end' },
              { expr: 'eventflow:consumer_lag_seconds:max', legend: 'without a worker' },
            ],
            limits: [[60, 'red']],
          },
        ),
      ],
    },
    {
      title: 'How long do they take?',
      panels: [
        latency('Accept', 'From a request to its answer: what producers wait for.', 'ingest_duration_seconds'),
        latency('Queue', 'From acceptance until a worker has the event in its hands.', 'queue_wait_seconds'),
        latency('Process', 'A batch, from decoding to its COMMIT.', 'event_processing_duration_seconds'),
        latency('End to end', 'From acceptance to the COMMIT of the outcome; retries included.', 'end_to_end_seconds'),
      ],
    },
    {
      title: 'What fails?',
      panels: [
        graph(
          {
            title: 'Failures by kind',
            description:
              "Events that became dead letters, a second, by their type and the class of the error; and errors of users' code that nothing handled.",
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
                legend: 'not handled',
              },
            ],
          },
        ),
        graph(
          {
            title: 'Dead letters by type',
            description: 'Open ones. They stay until somebody replays or discards them.',
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
              'How fast the error budget (0.1 % of the events may take longer than 60 s) is used up: 1 is just what the objective allows. 14.4 over an hour or 6 over six hours wakes somebody.',
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
      title: 'What needs somebody?',
      panels: [
        table(
          {
            title: 'Alerts that are firing',
            description: 'Each has its section under "Alerts and runbooks" in docs/operating.md.',
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
          { title: 'Processes', description: 'Who answers Prometheus.', width: 12 },
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
