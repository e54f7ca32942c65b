/** Dependencies: Postgres, Redis, and the sources of enrichment. */
import { dashboard } from './dashboard.js'
import { figure, graph, timeline } from './panels.js'

const lowest = (dependency: string) => `min(eventflow_dependency_up{dependency="${dependency}"})`

const PRESENCE = [
  { text: 'away', color: 'red' },
  { text: 'there', color: 'green' },
]

export const dependencies = dashboard(
  'dependencies',
  'EventFlow / Dependencies',
  'Postgres, which must be there; Redis, which may be away; the sources of enrichment, behind their circuits.',
  [
    {
      title: 'Now',
      panels: [
        figure(
          {
            title: 'Postgres',
            description: 'Away, if any process cannot reach it. Without it nothing is accepted.',
            width: 4,
          },
          { unit: 'short', expr: lowest('postgres'), states: PRESENCE },
        ),
        figure(
          {
            title: 'Redis',
            description: 'Away, if any process cannot reach it. Without it everything is slower.',
            width: 4,
          },
          { unit: 'short', expr: lowest('redis'), states: PRESENCE },
        ),
        figure(
          {
            title: 'Open circuits',
            description: 'Sources of enrichment that do not answer. Their events wait.',
            width: 4,
          },
          {
            unit: 'short',
            expr: 'count(max by (dependency) (eventflow_circuit_state) == 2) or vector(0)',
            limits: [[1, 'red']],
          },
        ),
        figure(
          { title: 'Size of the database', description: 'Tables and indexes, without the write-ahead log.', width: 4 },
          { unit: 'bytes', expr: 'max(eventflow_postgres_size_bytes)' },
        ),
        figure(
          { title: 'Used', description: 'Share of the capacity, if one is set.', width: 4 },
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
          { title: 'Entries in Redis', description: 'Of all streams. What is settled is removed.', width: 4 },
          { unit: 'short', expr: 'sum(max by (partition) (eventflow_queue_depth))' },
        ),
      ],
    },
    {
      title: 'Who reaches what?',
      panels: [
        timeline(
          {
            title: 'Postgres and Redis',
            description: 'From each process. One that is red alone has a network problem.',
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
              'Sources of enrichment over HTTP. While a circuit is open, its events wait and lose no attempts.',
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
            description: 'And where it will be in four days, if it goes on as in the last six hours.',
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
          { title: 'Waiting for another attempt', description: 'Rows of the table retries.', width: 12 },
          { unit: 'short', queries: [{ expr: 'max(eventflow_retrying_events)', legend: 'events' }] },
        ),
      ],
    },
    {
      title: 'Redis',
      panels: [
        graph(
          { title: 'Entries', description: 'Of all streams, and those of them that a worker has.', width: 12 },
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
            description: 'Flushes, a second, that Redis did not take: it was away, full, or a stream was at its limit.',
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
