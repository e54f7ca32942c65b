/** Partitions: their owners, where events wait, and which partition is out of step. */
import { dashboard } from './dashboard.js'
import { figure, graph, table, timeline } from './panels.js'

const byPartition = (metric: string) => ({
  expr: `max by (partition) (eventflow_${metric})`,
  legend: '{{partition}}',
})

/** The largest or the smallest epoch of each partition. Not delta(), which would extrapolate a count. */
const epoch = (what: 'max' | 'min') => `${what}_over_time(eventflow_partition_epoch[10m])`

export const partitions = dashboard(
  'partitions',
  'EventFlow / Partitions',
  'The owner, lag and state of each partition.',
  [
    {
      title: 'Now',
      panels: [
        figure(
          {
            title: 'Without an owner',
            description: 'Partitions that no worker owns. Normal for some seconds after a crash.',
            width: 6,
          },
          {
            unit: 'short',
            expr: 'count(max by (partition) (eventflow_partition_epoch) unless on (partition) eventflow_partition_owner == 1) or vector(0)',
            limits: [[1, 'red']],
          },
        ),
        figure(
          {
            title: 'Catching up',
            description: 'Partitions read from Postgres, because their stream may lack events.',
            width: 6,
          },
          {
            unit: 'short',
            expr: 'sum(max by (partition) (eventflow_catching_up)) or vector(0)',
            limits: [[1, 'yellow']],
          },
        ),
        figure(
          {
            title: 'Longest lag',
            description: 'The age of the oldest event not yet delivered to a worker.',
            width: 6,
          },
          {
            unit: 's',
            expr: 'eventflow:consumer_lag_seconds:max',
            limits: [
              [10, 'yellow'],
              [30, 'red'],
            ],
          },
        ),
        figure(
          {
            title: 'Owner changes',
            description: 'In the last ten minutes. Each start, stop or crash of a worker moves some partitions.',
            width: 6,
          },
          { unit: 'short', expr: `sum(max by (partition) (${epoch('max')} - ${epoch('min')}))` },
        ),
        table(
          {
            title: 'All partitions',
            description: 'The current state. The owner column is empty for a partition without an owner.',
            width: 12,
          },
          {
            labels: { partition: 'Partition', worker_id: 'Owner' },
            columns: [
              { header: 'Owned', expr: 'max by (partition, worker_id) (eventflow_partition_owner)' },
              { header: 'Epoch', expr: byPartition('partition_epoch').expr },
              { header: 'Lag', expr: byPartition('consumer_lag').expr },
              { header: 'Lag, time', expr: byPartition('consumer_lag_seconds').expr, unit: 's' },
              { header: 'Pending', expr: byPartition('pending').expr },
              { header: 'Stream', expr: byPartition('queue_depth').expr },
              { header: 'Catching up', expr: byPartition('catching_up').expr },
              { header: 'Blocked', expr: byPartition('waiting_events').expr },
            ],
            height: 18,
          },
        ),
        timeline(
          { title: 'Owners', description: 'The owner of each partition over time.', width: 12 },
          {
            query: {
              expr: 'max by (partition, worker_id) (eventflow_partition_owner) == 1',
              legend: '{{partition}} {{worker_id}}',
            },
            states: [
              { text: '', color: 'transparent' },
              { text: 'owns', color: 'green' },
            ],
            height: 18,
          },
        ),
      ],
    },
    {
      title: 'Backlog',
      panels: [
        graph(
          {
            title: 'Lag',
            description: 'Events not yet delivered to a worker, in the stream or only in Postgres.',
            width: 12,
          },
          { unit: 'short', queries: [byPartition('consumer_lag')] },
        ),
        graph(
          { title: 'Lag, time', description: 'The age of the oldest event not yet delivered.', width: 12 },
          { unit: 's', queries: [byPartition('consumer_lag_seconds')], limits: [[30, 'red']] },
        ),
        graph(
          { title: 'Pending', description: 'Delivered to a worker, not acknowledged.', width: 8 },
          { unit: 'short', queries: [byPartition('pending')] },
        ),
        graph(
          { title: 'Stream length', description: 'Entries in Redis. Settled ones are removed.', width: 8 },
          { unit: 'short', queries: [byPartition('queue_depth')] },
        ),
        graph(
          {
            title: 'Blocked events',
            description:
              'Events that the owner keeps in memory because an earlier event of their key awaits a retry. At EVENTFLOW_MAX_WAITING the partition pauses.',
            width: 8,
          },
          { unit: 'short', queries: [byPartition('waiting_events')] },
        ),
      ],
    },
    {
      title: 'Catch-up and repairs',
      panels: [
        timeline(
          {
            title: 'Catching up',
            description: 'The times when a partition was read from Postgres instead of its stream.',
            width: 12,
          },
          {
            query: byPartition('catching_up'),
            states: [
              { text: 'stream', color: 'green' },
              { text: 'catching up', color: 'yellow' },
            ],
            height: 16,
          },
        ),
        graph(
          {
            title: 'Read from Postgres',
            description: 'Events per second read from Postgres instead of the stream, by reason.',
            width: 12,
          },
          {
            unit: 'ops',
            queries: [
              {
                expr: 'sum by (reason) (rate(eventflow_catch_up_events_total[$__rate_interval]))',
                legend: '{{reason}}',
              },
            ],
          },
        ),
        graph(
          {
            title: 'Repairs',
            description:
              'Per second: entries claimed from dead workers, foreign entries in a stream, deliveries of settled events, batches refused by the fence.',
            width: 12,
          },
          {
            unit: 'ops',
            queries: [
              { expr: 'sum(rate(eventflow_entries_claimed_total[$__rate_interval]))', legend: 'claimed' },
              { expr: 'sum(rate(eventflow_foreign_entries_total[$__rate_interval]))', legend: 'foreign' },
              { expr: 'sum(rate(eventflow_duplicates_total[$__rate_interval]))', legend: 'duplicates' },
              { expr: 'sum(rate(eventflow_fenced_writes_total[$__rate_interval]))', legend: 'fenced' },
              { expr: 'sum(rate(eventflow_late_events_total[$__rate_interval]))', legend: 'late' },
              {
                expr: 'sum(rate(eventflow_missing_fields_total[$__rate_interval]))',
                legend: 'missing fields',
              },
              {
                expr: 'sum(rate(eventflow_unknown_fields_total[$__rate_interval]))',
                legend: 'unknown fields',
              },
            ],
          },
        ),
      ],
    },
  ],
)
