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
  'Who works on what, where events wait, and which partition is out of step.',
  [
    {
      title: 'Now',
      panels: [
        figure(
          {
            title: 'Without an owner',
            description: 'Partitions that nobody works on. For some seconds after a crash that is as it should be.',
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
            description: 'Partitions that are read from Postgres because their stream may lack something.',
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
            description: 'How long the first event that no worker has yet has waited.',
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
            title: 'Changes of owner',
            description: 'In the last ten minutes. Each start, stop and crash of a worker moves some partitions.',
            width: 6,
          },
          { unit: 'short', expr: `sum(max by (partition) (${epoch('max')} - ${epoch('min')}))` },
        ),
        table(
          {
            title: 'Every partition',
            description: 'As it is now. A partition without an owner has none in its row.',
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
              { header: 'Behind retries', expr: byPartition('waiting_events').expr },
            ],
            height: 18,
          },
        ),
        timeline(
          { title: 'Owners', description: 'Who has had which partition.', width: 12 },
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
      title: 'Where do events wait?',
      panels: [
        graph(
          { title: 'Lag', description: 'Events that no worker has yet, in the stream or in Postgres only.', width: 12 },
          { unit: 'short', queries: [byPartition('consumer_lag')] },
        ),
        graph(
          { title: 'Lag, time', description: 'How long the first of them has waited.', width: 12 },
          { unit: 's', queries: [byPartition('consumer_lag_seconds')], limits: [[30, 'red']] },
        ),
        graph(
          { title: 'Pending', description: 'Delivered to a worker, and not settled.', width: 8 },
          { unit: 'short', queries: [byPartition('pending')] },
        ),
        graph(
          { title: 'Length of the stream', description: 'Entries in Redis; what is settled is removed.', width: 8 },
          { unit: 'short', queries: [byPartition('queue_depth')] },
        ),
        graph(
          {
            title: 'Behind retries',
            description:
              'Events in the memory of the owner that wait because an earlier one of their key waits. At EVENTFLOW_MAX_WAITING the partition pauses.',
            width: 8,
          },
          { unit: 'short', queries: [byPartition('waiting_events')] },
        ),
      ],
    },
    {
      title: 'What is out of step?',
      panels: [
        timeline(
          {
            title: 'Catching up',
            description: 'When a partition was read from Postgres instead of its stream.',
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
            title: 'Taken from Postgres',
            description: 'Events, a second, that were read from Postgres instead of the stream, by why.',
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
              'Entries claimed from workers that died, entries that are none of ours, deliveries of what was settled before, batches that the fence refused.',
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
                legend: 'lack what their schema requires',
              },
              {
                expr: 'sum(rate(eventflow_unknown_fields_total[$__rate_interval]))',
                legend: 'fields that no schema names',
              },
            ],
          },
        ),
      ],
    },
  ],
)
