/** The report on the terminal. */
import { type Judged, judge } from '../goals.js'
import type { Results, VariantResult } from '../results.js'
import type { Idle } from '../suites/idle.js'
import type { Scale } from '../suites/scale.js'
import { type Walls, wallsRatio } from '../suites/walls.js'
import type { Watched } from '../suites/watched.js'
import { bytes, short, table, whole } from './figures.js'
import { describeLedger } from './ledger.js'
import { describeReaderScale, describeReaders } from './readers.js'

/** The whole report as text. */
export function describeResults(results: Results): string {
  const { variants, idle, watched, walls, readers, readerScale, scale, ledger } = results
  const judged = judge(results)
  return [
    ...(variants.length > 0
      ? [rates(variants), promises(variants), latencies(variants), work(variants), disturbance(variants)]
      : []),
    ...(idle ? [idleness(idle)] : []),
    ...(watched ? [whileWatched(watched)] : []),
    ...(walls ? [besideTheWorst(walls)] : []),
    ...(readers ? [describeReaders(readers)] : []),
    ...(scale ? [longRun(scale)] : []),
    ...(readerScale ? [describeReaderScale(readerScale)] : []),
    ...(ledger ? [describeLedger(ledger)] : []),
    ...(judged.length > 0 ? [goals(judged)] : []),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** One line for a finished round. */
export function describeRound({
  events,
  seconds,
  loadSeconds,
}: {
  events: number
  seconds: number
  loadSeconds: number
}) {
  return `${whole(events / seconds).padStart(9)}/s end to end  ${whole(events / loadSeconds).padStart(9)}/s taken`
}

const ROLES = ['generator', 'ingest', 'worker', 'postgres', 'redis', 'collector', 'bench']

function rates(variants: readonly VariantResult[]): string {
  return table(
    ['', 'events/s', 'min – max', 'taken/s', 'CPU µs an event:', ...ROLES],
    variants.map(({ name, eventsPerSecond, acceptedPerSecond, cpuMicrosecondsPerEvent: cpu }) => [
      name,
      whole(eventsPerSecond.median),
      `${whole(eventsPerSecond.min)} – ${whole(eventsPerSecond.max)}`,
      whole(acceptedPerSecond.median),
      short(Object.values(cpu).reduce((sum, value) => sum + value, 0)),
      ...ROLES.map((role) => (cpu[role] === undefined ? '' : short(cpu[role]))),
    ]),
  )
}

/** Rates of systems that guarantee less are not comparable. */
function promises(variants: readonly VariantResult[]): string {
  const names = new Map<string, string[]>()
  for (const { name, promise } of variants) names.set(promise, [...(names.get(promise) ?? []), name])
  return [
    'what is promised for an event:',
    ...[...names].map(
      ([promise, who]) => `  ${who.length > 3 ? `${who[0]} … ${who.at(-1)}` : who.join(', ')}: ${promise}`,
    ),
  ].join('\n')
}

/** Kernel threads and interrupts count as other processes too. */
const UNDISTURBED = 0.1

function disturbance(variants: readonly VariantResult[]): string {
  const worst = variants.reduce((one, two) => (one.takenByOthers > two.takenByOthers ? one : two))
  if (worst.takenByOthers < UNDISTURBED) return ''
  const percent = whole(100 * worst.takenByOthers)
  return `Other processes had up to ${percent} % of the machine (${worst.name}): measure again when it is quiet.`
}

function latencies(variants: readonly VariantResult[]): string {
  const known = variants.filter(({ accept, delivery }) => accept ?? delivery)
  if (known.length === 0) return ''
  return table(
    ['ms', 'request p50', 'p95', 'p99', 'p99.9', 'accepted → processed p50', 'p95', 'p99', 'p99.9'],
    known.map(({ name, accept, delivery }) => [
      name,
      ...[accept, delivery].flatMap((times) =>
        times ? [times.p50, times.p95, times.p99, times.p999].map(short) : ['', '', '', ''],
      ),
    ]),
  )
}

/** For the runs with several processes: the work of each, and the rate relative to one process of each kind. */
function work(variants: readonly VariantResult[]): string {
  const [alone, ...others] = variants.filter(({ group }) => group === 'workers')
  if (!alone) return ''
  const lines = [alone, ...others].map(({ name, eventsPerSecond, rounds }) => {
    const byWorker = Object.entries(rounds.at(-1)?.byWorker ?? {})
    const total = byWorker.reduce((sum, [, count]) => sum + count, 0)
    const shares = byWorker.map(([worker, count]) => `${worker} ${short((100 * count) / total)} %`)
    return [name, `${short(eventsPerSecond.median / alone.eventsPerSecond.median)} ×`, shares.join(', ')]
  })
  return table(['', `rate to ${alone.name}`, 'who did what'], lines)
}

function idleness({ seconds, corePercent }: Idle): string {
  const parts = Object.entries(corePercent).map(([role, percent]) => `${role} ${percent.toFixed(2)}`)
  return `idle for ${whole(seconds)} s, in percent of a core: ${parts.join(', ')}`
}

function whileWatched({ rate, seconds, cpuMicroseconds: cpu, longTasks, memory }: Watched): string {
  const { first, last } = memory
  return [
    `the live page at ${whole(rate)} events/s: ${short(cpu.unwatched)} µs of CPU an event while no console is open, ${short(cpu.elsewhere)} µs while one is open elsewhere, ${short(cpu.here)} µs with the browser on this machine`,
    `open for ${whole(seconds)} s: ${longTasks.count} tasks of more than 50 ms, the longest ${short(longTasks.longestMs)} ms; heap ${bytes(first.heapBytes)} → ${bytes(last.heapBytes)}, ${whole(first.nodes)} → ${whole(last.nodes)} nodes`,
  ].join('\n')
}

function besideTheWorst(walls: Walls): string {
  const { rate, seconds, turns } = walls
  const lines = turns.map(({ attack, alone, beside }) => [
    attack,
    ...[alone.p50, beside.p50, alone.p99, beside.p99].map(short),
    `${short(beside.p99 / alone.p99)} ×`,
  ])
  return [
    `a tenant that sends ${whole(rate)} events/s for ${whole(seconds)} s, alone and beside one that does its worst; ms until the 202. Beside all at once: p99 ${short(wallsRatio(walls))} × its own`,
    table(['the neighbour sends', 'p50 alone', 'beside', 'p99 alone', 'beside', ''], lines),
  ].join('\n')
}

function longRun({
  events,
  seconds,
  eventsPerSecond,
  lastToFirst,
  distribution,
  delivery,
  memory,
  tables,
}: Scale): string {
  const [first, last] = [memory[Math.floor(memory.length / 10)]!, memory.at(-1)!]
  const grown = Object.keys(last.byRole).map(
    (role) => `${role} ${bytes(first.byRole[role] ?? 0)} → ${bytes(last.byRole[role]!)}`,
  )
  return [
    `${whole(events)} events in ${whole(seconds)} s: ${whole(eventsPerSecond)}/s, the last part at ${short(lastToFirst)} × the rate of the first`,
    `accepted → processed p50 ${short(delivery.p50)}, p95 ${short(delivery.p95)}, p99 ${short(delivery.p99)}, p99.9 ${short(delivery.p999)} ms`,
    `partitions: ${distribution.events.map(whole).join(' ')}; ${distribution.even ? 'even' : 'NOT EVEN'}, at most ${short(100 * distribution.largestDeviation)} % off`,
    `memory at a tenth of the events → at the end: ${grown.join(', ')}`,
    ...tables.map(({ table: name, rows, tableBytes, indexBytes }) => {
      const each = rows > 0 ? `, ${whole((tableBytes + indexBytes) / rows)} bytes a row` : ''
      return `${name}: ${whole(rows)} rows, table ${bytes(tableBytes)}, indexes ${bytes(indexBytes)}${each}`
    }),
  ].join('\n')
}

function goals(judged: readonly Judged[]): string {
  return table(
    ['goal', 'reached', 'of'],
    judged.map(({ what, figure, goal, unit, reached }) => [
      what,
      `${short(figure)} ${unit}`,
      `${goal} ${reached ? '✓' : '✗'}`,
    ]),
  )
}
