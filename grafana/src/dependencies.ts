/** Dependencies: Postgres, Redis, and the sources of enrichment. */
import { dashboard } from './dashboard.js'
import { figure, graph, timeline } from './panels.js'

const lowest = (dependency: string) => `min(eventflow_dependency_up{dependency="${dependency}"})`

const PRESENCE = [
  { text: 'down', color: 'red' },
  { text: 'up', color: 'green' },
]

export const dependencies = dashboard(
  'dependencies',
  'EventFlow / Dependencies',
  'Postgres, which EventFlow needs; Redis, which it can do without; and the services that enrichers call.',
  [
    {
      title: 'Now',
      panels: [
        figure(
          {
            title: 'Postgres',
            description: 'Down if any process cannot reach it. Without Postgres no event is accepted.',
            width: 4,
          },
          { unit: 'short', expr: lowest('postgres'), states: PRESENCE },
        ),
        figure(
          {
            title: 'Redis',
            description: 'Down if any process cannot reach it. Without Redis everything is slower.',
            width: 4,
          },
          { unit: 'short', expr: lowest('redis'), states: PRESENCE },
        ),
        figure(
          {
            title: 'Open circuits',
            description: 'Services of enrichers that do not answer. Events that need them wait.',
            width: 4,
          },
          {
            unit: 'short',
            expr: 'count(max by (dependency) (eventflow_circuit_state) == 2) or vector(0)',
            limits: [[1, 'red']],
          },
        ),
        figure(
          { title: 'Database size', description: 'Tables and indexes, without the write-ahead log.', width: 4 },
          { unit: 'bytes', expr: 'max(eventflow_postgres_size_bytes)' },
        ),
        figure(
          {
            title: 'Used',
            description: 'Share of the capacity, if EVENTFLOW_POSTGRES_CAPACITY_BYTES is set.',
            width: 4,
          },
          {
            unit: 'percentunit',
            expr: 'max(eventflow_postgres_size_bytes) / max(eventflow_postgres_capacity_bytes)',
            limits: [
              [0.75, 'yellow'],
              [0.9, 'red'],
            ],
          },
        ),
        figure(
          { title: 'Entries in Redis', description: 'In all streams. Settled ones are removed.', width: 4 },
          { unit: 'short', expr: 'sum(max by (partition) (eventflow_queue_depth))' },
        ),
      ],
    },
    {
      title: 'Reachability',
      panels: [
        timeline(
          {
            title: 'Postgres and Redis',
            description: 'As seen by each process. If only one is red, it has a network problem.',
            width: 12,
          },
          {
            query: {
              expr: 'max by (dependency, job, instance) (eventflow_dependency_up)',
              legend: '{{dependency}} from {{job}} {{instance}}',
            },
            states: PRESENCE,
            height: 9,
          },
        ),
        timeline(
          {
            title: 'Circuits',
            description:
              'The HTTP services of enrichers. While a circuit is open, events that need the service wait and use up no attempts.',
            width: 12,
          },
          {
            query: { expr: 'max by (dependency) (eventflow_circuit_state)', legend: '{{dependency}}' },
            states: [
              { text: 'closed', color: 'green' },
              { text: 'half-open', color: 'yellow' },
              { text: 'open', color: 'red' },
            ],
            height: 9,
          },
        ),
      ],
    },
    {
      title: 'Postgres',
      panels: [
        graph(
          {
            title: 'Size',
            description: 'The size now, and a forecast for four days ahead from the last six hours.',
            width: 12,
          },
          {
            unit: 'bytes',
            queries: [
              { expr: 'max(eventflow_postgres_size_bytes)', legend: 'size' },
              { expr: 'max(predict_linear(eventflow_postgres_size_bytes[6h], 4 * 86400))', legend: 'in four days' },
              { expr: 'max(eventflow_postgres_capacity_bytes)', legend: 'capacity' },
            ],
          },
        ),
        graph(
          {
            title: 'Retrying',
            description: 'Events that await a retry, or are blocked by one: rows of the table retries.',
            width: 6,
          },
          { unit: 'short', queries: [{ expr: 'max(eventflow_retrying_events)', legend: 'events' }] },
        ),
        graph(
          {
            title: 'Parts ahead',
            description:
              'Parts of the ledger beyond the one that takes new events. Without one, events are answered 503.',
            width: 6,
          },
          { unit: 'short', queries: [{ expr: 'max(eventflow_ledger_parts_ahead)', legend: 'parts' }] },
        ),
      ],
    },
    {
      title: 'Standby',
      panels: [
        timeline(
          { title: 'Reads use', description: 'By ingest, if DATABASE_REPLICA_URL is set.', width: 8 },
          {
            query: { expr: 'max by (instance) (eventflow_standby_used)', legend: '{{instance}}' },
            states: [
              { text: 'primary', color: 'yellow' },
              { text: 'standby', color: 'green' },
            ],
            height: 8,
          },
        ),
        graph(
          {
            title: 'Lag of the standby',
            description: 'If DATABASE_REPLICA_URL is set. Above two seconds, reads use the primary.',
            width: 8,
          },
          {
            unit: 's',
            queries: [{ expr: 'max by (instance) (eventflow_standby_lag_seconds)', legend: '{{instance}}' }],
            limits: [[2, 'yellow']],
          },
        ),
        graph(
          {
            title: 'Reads on the primary instead',
            description: 'A second, by reason: unusable (away or too far behind), conflict with replay, error.',
            width: 8,
          },
          {
            unit: 'short',
            queries: [
              {
                expr: 'sum by (reason) (rate(eventflow_standby_fallbacks_total[$__rate_interval]))',
                legend: '{{reason}}',
              },
            ],
          },
        ),
      ],
    },
    {
      title: 'Redis',
      panels: [
        graph(
          {
            title: 'Entries',
            description: 'In all streams, and those delivered to a worker but not acknowledged.',
            width: 12,
          },
          {
            unit: 'short',
            queries: [
              { expr: 'sum(max by (partition) (eventflow_queue_depth))', legend: 'in the streams' },
              { expr: 'sum(max by (partition) (eventflow_pending))', legend: 'pending' },
            ],
          },
        ),
        graph(
          {
            title: 'Not published',
            description:
              'Flushes per second that Redis did not take: it was down or full, or a stream was at its limit.',
            width: 12,
          },
          {
            unit: 'ops',
            queries: [
              {
                expr: 'sum by (instance) (rate(eventflow_unpublished_total[$__rate_interval]))',
                legend: '{{instance}}',
              },
            ],
          },
        ),
      ],
    },
  ],
)
