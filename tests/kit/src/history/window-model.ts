/**
 * Computes from the log what a window must have found: entry by entry, by the definition of event time and of the
 * windows, with everything in memory. It shares no code with the engine.
 */
import { earlier, later } from '@eventflow/core'
import type { WindowSpec } from './fault-windows.js'
import { type Late, type Log, passLog, type Time } from './log-time.js'
import type { ResultRow, WindowEntry } from './window-rows.js'

export interface Expected {
  closed: ResultRow[]
  open: ResultRow[]
  late: Late[]
  times: Map<number, Time>
}

/** `numberOf`: what an event adds to the sum. */
export function expectedOf(spec: WindowSpec, log: Log, numberOf: (id: string) => number): Expected {
  const expected: Expected = { closed: [], open: [], late: [], times: new Map() }
  const windows = 'gap' in spec.window ? sessions(spec.window) : fixedWindows(spec.window)
  expected.times = passLog(spec, log, (entry, watermark) => {
    const isCounted = windows.add(entry, watermark, numberOf(entry.id))
    if (!isCounted) expected.late.push({ entry, watermark: watermark! })
  })
  for (const { closesAt, ...row } of windows.all()) {
    const watermark = expected.times.get(row.partition)?.watermark
    const isClosed = watermark !== undefined && watermark >= closesAt
    expected[isClosed ? 'closed' : 'open'].push(row)
  }
  return expected
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
