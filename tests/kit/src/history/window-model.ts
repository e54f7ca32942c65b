/**
 * Computes from the log what a window must have found: entry by entry, by the definition of event time and of the
 * windows, with everything in memory. It shares no code with the engine.
 */
import { earlier, later } from '@eventflow/core'
import type { WindowSpec } from './fault-windows.js'
import type { MarkRow, ResultRow, WindowEntry, WindowHistory } from './window-rows.js'

/** Event time of a partition. */
interface Time {
  watermark?: bigint | undefined
  seen?: bigint
  hold?: bigint | undefined
  lastAccepted?: bigint
}

export interface Expected {
  closed: ResultRow[]
  open: ResultRow[]
  /** Late events, with the watermark that they met. */
  late: { entry: WindowEntry; watermark: bigint }[]
  times: Map<number, Time>
}

type Settings = Pick<WindowSpec, 'outOfOrderness'> & Pick<WindowHistory, 'idle'>

type Log = Pick<WindowHistory, 'cursors' | 'entries' | 'marks' | 'idle'>

/** `numberOf`: what an event adds to the sum. */
export function expectedOf(spec: WindowSpec, log: Log, numberOf: (id: string) => number): Expected {
  const expected: Expected = { closed: [], open: [], late: [], times: new Map() }
  const partitions = new Map(log.cursors.map((cursor) => [cursor.partition, cursor]))
  const steps = [...log.entries, ...log.marks].sort((a, b) => a.position - b.position)
  const windows = 'gap' in spec.window ? sessions(spec.window) : fixedWindows(spec.window)
  for (const step of steps) {
    const { partition, position } = step
    const cursor = partitions.get(partition)
    if (!cursor || position > cursor.position) continue
    const time = expected.times.get(partition) ?? {}
    if ('kind' in step) passMark(time, step, position <= cursor.began, { ...spec, idle: log.idle })
    else {
      if (position <= cursor.began) continue
      const { watermark } = time
      const counted = windows.add(step, watermark, numberOf(step.id))
      if (!counted) expected.late.push({ entry: step, watermark: watermark! })
      passEvent(time, step, spec)
    }
    expected.times.set(partition, time)
  }
  for (const { closesAt, ...row } of windows.all()) {
    const watermark = expected.times.get(row.partition)?.watermark
    const isClosed = watermark !== undefined && watermark >= closesAt
    expected[isClosed ? 'closed' : 'open'].push(row)
  }
  return expected
}

function passMark(time: Time, { kind, at, seenSince }: MarkRow, isBefore: boolean, spec: Settings): void {
  if (kind === 'release') delete time.hold
  if (kind === 'hold') time.hold = at!
  if (isBefore) return
  if (kind === 'tick') {
    if (time.lastAccepted === undefined) return
    if (at! - later(time.lastAccepted, seenSince!) < spec.idle) return
    if (time.seen === undefined || at! > time.seen) time.seen = at!
  }
  rise(time, spec)
}

function passEvent(time: Time, { occurred, accepted }: WindowEntry, spec: Pick<Settings, 'outOfOrderness'>): void {
  const shown = occurred < accepted ? occurred : accepted
  if (time.seen === undefined || shown > time.seen) time.seen = shown
  if (time.lastAccepted === undefined || accepted > time.lastAccepted) time.lastAccepted = accepted
  rise(time, spec)
}

function rise(time: Time, { outOfOrderness }: Pick<Settings, 'outOfOrderness'>): void {
  if (time.seen === undefined) return
  const free = time.seen - outOfOrderness
  const reached = time.hold !== undefined && time.hold < free ? time.hold : free
  if (time.watermark === undefined || reached > time.watermark) time.watermark = reached
}

interface Windows {
  /** Returns false if the event is late. */
  add(entry: WindowEntry, watermark: bigint | undefined, n: number): boolean
  /** `closesAt`: a watermark from this time on closes it. */
  all(): (ResultRow & { closesAt: bigint })[]
}

function fixedWindows({ size, every }: { size: bigint; every: bigint }): Windows {
  const found = new Map<string, ResultRow>()

  return {
    add({ partition, key, occurred }, watermark, n) {
      let isLate = true
      for (let start = occurred - (occurred % every); start + size > occurred; start -= every) {
        const end = start + size
        if (watermark !== undefined && watermark >= end) continue
        isLate = false
        const name = `${partition} ${start} ${key}`
        const row = found.get(name) ?? { partition, key, start, end, count: 0, sum: 0 }
        row.count++
        row.sum += n
        found.set(name, row)
      }
      return !isLate
    },
    all: () => [...found.values()].map((row) => ({ ...row, closesAt: row.end })),
  }
}

function sessions({ gap }: { gap: bigint }): Windows {
  const done: ResultRow[] = []
  const ofKeys = new Map<string, ResultRow[]>()
  const isOver = (end: bigint, watermark: bigint | undefined) => watermark !== undefined && watermark > end + gap

  return {
    add({ partition, key, occurred }, watermark, n) {
      const name = `${partition} ${key}`
      const session: ResultRow = { partition, key, start: occurred, end: occurred, count: 1, sum: n }
      const others: ResultRow[] = []
      let joins = false
      for (const other of ofKeys.get(name) ?? []) {
        const isNear = other.start - gap <= occurred && occurred <= other.end + gap
        if (isOver(other.end, watermark)) done.push(other)
        else if (isNear) {
          joins = true
          session.start = earlier(other.start, session.start)
          session.end = later(other.end, session.end)
          session.count += other.count
          session.sum += other.sum
        } else others.push(other)
      }
      const isLate = !joins && isOver(occurred, watermark)
      ofKeys.set(name, isLate ? others : [...others, session])
      return !isLate
    },
    all: () => [...done, ...[...ofKeys.values()].flat()].map((row) => ({ ...row, closesAt: row.end + gap + 1n })),
  }
}
