/** The readers of the log, on the terminal. */
import type { Readers } from '../suites/readers.js'
import { short, table, whole } from './figures.js'

/** The turns side by side, and the readers from far behind. */
export function describeReaders({ seconds, turns, behind }: Readers): string {
  const [alone] = turns
  const lines = turns.map(({ readers, eventsPerSecond, requestMs, levelPerSecond, cpuMicroseconds }) => [
    readers,
    whole(eventsPerSecond),
    `${short(eventsPerSecond / alone!.eventsPerSecond)} ×`,
    short(requestMs),
    levelPerSecond === null ? '' : whole(levelPerSecond),
    short(cpuMicroseconds),
  ])
  return [
    `batches of 500 for ${whole(seconds)} s, with consumer groups beside the pipeline in its worker`,
    table(['readers', 'processed/s', 'to none', 'request p99 ms', 'read by all/s', 'CPU µs an event'], lines),
    ...behind.map(
      ({ reader, events, eventsPerSecond, cpuMicroseconds }) =>
        `${reader} from far behind, in a process of its own: ${whole(events)} events at ${whole(eventsPerSecond)}/s, ${short(cpuMicroseconds)} µs of CPU each, its start included`,
    ),
  ].join('\n')
}
