/** Workers: the activity of each process, and whether it has capacity left. */
import { dashboard } from './dashboard.js'
import { figure, graph, type Query, table, timeline } from './panels.js'

/** Shows each process with its name in the log instead of only its address. */
const named = (expr: string): Query => ({
  expr: `${expr} * on (instance) group_left (worker_id) max by (instance, worker_id) (eventflow_build_info{service="worker"})`,
  legend: '{{worker_id}}',
})

/** A metric that every process has. */
const ofProcess = (expr: string): Query => ({ expr, legend: '{{job}} {{instance}}' })

const rate = (metric: string) => `rate(${metric}[$__rate_interval])`

/** The mean of a histogram. */
const mean = (histogram: string) =>
  `sum by (instance) (${rate(`${histogram}_sum`)}) / sum by (instance) (${rate(`${histogram}_count`)})`

export const workers = dashboard('workers', 'EventFlow / Workers', 'The work and the resources of each process.', [
  {
    title: 'Now',
    panels: [
      figure(
        { title: 'Workers', description: 'Workers that Prometheus can scrape.', width: 4 },
        { unit: 'short', expr: 'count(up{job="worker"} == 1) or vector(0)' },
      ),
      figure(
        {
          title: 'Stalled',
          description: 'Workers that are alive and have events, but settle none.',
          width: 4,
        },
        { unit: 'short', expr: 'sum(eventflow_worker_stalled)', limits: [[1, 'red']] },
      ),
      figure(
        {
          title: 'Since last settled',
          description: 'Time since a worker last settled an event. Also rises while no events arrive.',
          width: 4,
        },
        { unit: 's', expr: 'time() - max(eventflow_last_processed_timestamp_seconds)' },
      ),
      table(
        { title: 'Processes', description: 'The running processes and their versions.', width: 12 },
        {
          labels: {
            service: 'Service',
            worker_id: 'Worker',
            instance: 'Address',
            version: 'Version',
            node_version: 'Node',
          },
          columns: [
            {
              header: 'Up since',
              expr: 'sum by (service, instance, worker_id, version, node_version) ((time() - process_start_time_seconds) * on (job, instance) group_left (worker_id, version, node_version) eventflow_build_info)',
              unit: 's',
            },
          ],
          height: 6,
        },
      ),
    ],
  },
  {
    title: 'Work',
    panels: [
      graph(
        { title: 'Throughput', description: 'Events settled per second, by worker.', width: 12 },
        { unit: 'ops', queries: [named(`sum by (instance) (${rate('eventflow_end_to_end_seconds_count')})`)] },
      ),
      graph(
        {
          title: 'Partitions',
          description: 'Partitions owned by each worker. They are shared evenly; a change takes some seconds.',
          width: 12,
        },
        {
          unit: 'short',
          queries: [
            {
              expr: 'count by (worker_id) (max by (partition, worker_id) (eventflow_partition_owner) == 1)',
              legend: '{{worker_id}}',
            },
          ],
        },
      ),
      graph(
        {
          title: 'Batch size',
          description: 'Average number of events settled by one transaction. It grows with the load.',
          width: 8,
        },
        { unit: 'short', queries: [named(`(${mean('eventflow_settle_size')})`)] },
      ),
      graph(
        { title: 'Batch duration', description: 'Average time from decoding to COMMIT.', width: 8 },
        { unit: 's', queries: [named(`(${mean('eventflow_event_processing_duration_seconds')})`)] },
      ),
      graph(
        {
          title: 'Flush size of ingest',
          description: 'Average number of events inserted by one statement. It grows with the load.',
          width: 8,
        },
        { unit: 'short', queries: [{ expr: mean('eventflow_flush_size'), legend: '{{instance}}' }] },
      ),
    ],
  },
  {
    title: 'Resources',
    panels: [
      graph(
        {
          title: 'Event-loop delay, p99',
          description: 'How late timers fire, because the process is computing. At 10 s a worker loses its leases.',
          width: 8,
        },
        {
          unit: 's',
          queries: [ofProcess('nodejs_eventloop_lag_p99_seconds{job=~"ingest|worker"}')],
          limits: [[1, 'red']],
        },
      ),
      graph(
        { title: 'CPU', description: 'Cores in use. JavaScript uses at most one.', width: 8 },
        { unit: 'short', queries: [ofProcess(rate('process_cpu_seconds_total{job=~"ingest|worker"}'))] },
      ),
      graph(
        { title: 'Garbage collection', description: 'Share of time spent collecting garbage.', width: 8 },
        {
          unit: 'percentunit',
          queries: [
            ofProcess(`sum by (job, instance) (${rate('nodejs_gc_duration_seconds_sum{job=~"ingest|worker"}')})`),
          ],
        },
      ),
      graph(
        { title: 'Memory', description: 'Resident memory.', width: 8 },
        { unit: 'bytes', queries: [ofProcess('process_resident_memory_bytes{job=~"ingest|worker"}')] },
      ),
      graph(
        {
          title: 'Heap',
          description: 'JavaScript objects, including garbage not collected yet.',
          width: 8,
        },
        { unit: 'bytes', queries: [ofProcess('nodejs_heap_size_used_bytes{job=~"ingest|worker"}')] },
      ),
      timeline(
        { title: 'Stalled', description: 'Workers that were alive and had events, but settled none.', width: 8 },
        {
          query: named('eventflow_worker_stalled'),
          states: [
            { text: 'works', color: 'green' },
            { text: 'stalled', color: 'red' },
          ],
          height: 8,
        },
      ),
    ],
  },
])
