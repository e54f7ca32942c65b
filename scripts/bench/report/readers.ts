/** The readers of the log, on the terminal. */
import type { ReaderScale } from '../suites/reader-scale.js'
import type { Readers } from '../suites/readers.js'
import { bytes, short, table, whole } from './figures.js'

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

/** The long log that a window has read. */
export function describeReaderScale(scale: ReaderScale): string {
  const { events, seconds, eventsPerSecond, lastToFirst, cpuMicroseconds, memory } = scale
  const [first, last] = [memory[Math.floor(memory.length / 10)]!, memory.at(-1)!]
  const roles = Object.keys(cpuMicroseconds)
  const spent = roles.map((role) => `${role} ${short(cpuMicroseconds[role]!)}`)
  const grown = roles.map((role) => `${role} ${bytes(first.byRole[role] ?? 0)} → ${bytes(last.byRole[role] ?? 0)}`)
  return [
    `a window has read ${whole(events)} events in ${whole(seconds)} s: ${whole(eventsPerSecond)}/s, the last part at ${short(lastToFirst)} × the rate of the first`,
    `it has ${whole(scale.results)} results, ${whole(scale.openPanes)} open panes and ${whole(scale.lateEvents)} late events`,
    `CPU µs an event: ${spent.join(', ')}`,
    `memory at a tenth of the time → at the end: ${grown.join(', ')}`,
  ].join('\n')
}
