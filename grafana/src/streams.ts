/** Streams: the consumer groups, how far each is behind, and what it has failed to handle. */
import { dashboard } from './dashboard.js'
import { figure, graph, type Query, table, timeline } from './panels.js'

/** A gauge of each group, as any ingest exports it. */
const byGroup = (gauge: string) => `max by (group) (eventflow_group_${gauge})`

const ofGroup = (expr: string): Query => ({ expr, legend: '{{group}}' })

const rate = (series: string) => `rate(${series}[$__rate_interval])`

const batches = (what: 'sum' | 'count' | 'bucket', by = 'group') =>
  `sum by (${by}) (${rate(`eventflow_group_batch_duration_seconds_${what}`)})`

export const streams = dashboard(
  'streams',
  'EventFlow / Streams',
  'The consumer groups: how far each is behind the log, and what it has failed to handle.',
  [
    {
      title: 'Now',
      panels: [
        figure(
          {
            title: 'Longest lag',
            description: 'The time since the oldest event was settled that some group has not read.',
            width: 6,
          },
          {
            unit: 's',
            expr: 'max(eventflow_group_lag_seconds)',
            limits: [
              [10, 'yellow'],
              [60, 'red'],
            ],
          },
        ),
        figure(
          { title: 'Paused', description: 'Groups that handle no events until they are resumed.', width: 6 },
          { unit: 'short', expr: `sum(${byGroup('paused')}) or vector(0)`, limits: [[1, 'yellow']] },
        ),
        figure(
          {
            title: 'Open dead letters',
            description: 'Events that a group has failed to handle, neither replayed nor discarded.',
            width: 6,
          },
          { unit: 'short', expr: `sum(${byGroup('dead_letters_open')}) or vector(0)`, limits: [[1, 'yellow']] },
        ),
        figure(
          {
            title: 'Without a reader',
            description: 'Partitions that no worker reads for some group. Normal for some seconds after a crash.',
            width: 6,
          },
          { unit: 'short', expr: `sum(${byGroup('partitions_unowned')}) or vector(0)`, limits: [[1, 'red']] },
        ),
        table(
          { title: 'Groups', description: 'Each consumer group that is defined in code.', width: 24 },
          {
            labels: { group: 'Group' },
            columns: [
              { header: 'Lag', expr: byGroup('lag_events') },
              { header: 'Lag in seconds', expr: byGroup('lag_seconds'), unit: 's' },
              { header: 'Parked', expr: byGroup('parked_events') },
              { header: 'Dead letters', expr: byGroup('dead_letters_open') },
              { header: 'Paused', expr: byGroup('paused') },
              { header: 'Partitions without a reader', expr: byGroup('partitions_unowned') },
            ],
            height: 7,
          },
        ),
      ],
    },
    {
      title: 'Lag',
      panels: [
        graph(
          {
            title: 'Lag in seconds',
            description: 'Since the oldest event was settled that the group has not read.',
            width: 12,
          },
          { unit: 's', queries: [ofGroup(byGroup('lag_seconds'))], limits: [[60, 'red']] },
        ),
        graph(
          {
            title: 'Lag in events',
            description: 'Events of its types that the group has not read. Large numbers are lower bounds.',
            width: 12,
          },
          { unit: 'short', queries: [ofGroup(byGroup('lag_events'))] },
        ),
        timeline(
          { title: 'Paused', description: 'By an operator, or by EventFlow if a group cannot go on.', width: 12 },
          {
            query: ofGroup(byGroup('paused')),
            states: [
              { text: 'runs', color: 'green' },
              { text: 'paused', color: 'yellow' },
            ],
            height: 8,
          },
        ),
        graph(
          {
            title: 'Partitions without a reader',
            description: 'Partitions that no worker reads for the group.',
            width: 12,
          },
          { unit: 'short', queries: [ofGroup(byGroup('partitions_unowned'))], limits: [[1, 'red']] },
        ),
      ],
    },
    {
      title: 'Work',
      panels: [
        graph(
          {
            title: 'Handled',
            description:
              'Attempts per second. Retried ones have failed and are tried again; failed ones are dead letters.',
            width: 12,
          },
          {
            unit: 'ops',
            queries: [
              {
                expr: `sum by (group, outcome) (${rate('eventflow_group_events_total')})`,
                legend: '{{group}} {{outcome}}',
              },
            ],
          },
        ),
        graph(
          {
            title: 'Batch duration',
            description: 'From reading the log to COMMIT: the average, and p99.',
            width: 12,
          },
          {
            unit: 's',
            queries: [
              { expr: `${batches('sum')} / ${batches('count')}`, legend: '{{group}} average' },
              { expr: `histogram_quantile(0.99, ${batches('bucket', 'le, group')})`, legend: '{{group}} p99' },
            ],
          },
        ),
        graph(
          {
            title: 'Parked',
            description: 'Events that need another attempt of the group, or wait behind one of their key.',
            width: 12,
          },
          { unit: 'short', queries: [ofGroup(byGroup('parked_events'))] },
        ),
        graph(
          { title: 'Open dead letters', description: 'Events that the group has failed to handle.', width: 12 },
          { unit: 'short', queries: [ofGroup(byGroup('dead_letters_open'))] },
        ),
      ],
    },
    {
      title: 'Windows and joins',
      panels: [
        graph(
          {
            title: 'Watermark lag',
            description: 'How far event time is behind the clock, where a window is due. 0 where nothing is due.',
            width: 12,
          },
          { unit: 's', queries: [ofGroup('max by (group) (eventflow_window_watermark_lag_seconds)')] },
        ),
        graph(
          {
            title: 'Late events',
            description: 'Events per second that came after their window was closed, and are in no result.',
            width: 12,
          },
          { unit: 'ops', queries: [ofGroup(`sum by (group) (${rate('eventflow_group_late_events_total')})`)] },
        ),
        graph(
          { title: 'Open windows', description: 'Panes and sessions that are not closed.', width: 12 },
          { unit: 'short', queries: [ofGroup('max by (group) (eventflow_window_open)')] },
        ),
        graph(
          { title: 'Waiting in joins', description: 'Events that may still be joined with others.', width: 12 },
          { unit: 'short', queries: [ofGroup('max by (group) (eventflow_join_rows)')] },
        ),
      ],
    },
  ],
)
