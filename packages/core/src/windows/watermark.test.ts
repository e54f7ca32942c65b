/** Windows that are read from a log in batches: what closes, what is late, and that batches make no difference. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Micros } from './micros.js'
import { advance, type LogEntryTime, NO_WATERMARK } from './watermark.js'
import { type FixedWindows, hopping, tumbling } from './windows.js'

const SECOND = 1_000_000n
const sec = (seconds: number) => BigInt(Math.round(seconds * 1_000)) * 1_000n

type Entry = LogEntryTime & { key?: string }

/** The events of a pane that are not late for `first` and the windows after it. */
interface Row {
  key: string
  pane: Micros
  first: Micros
  count: number
}

/**
 * Reads entries in batches of these sizes, and closes windows after each batch, from rows of state as a table has them.
 * Times are in seconds; `late` has the watermark that a late event met.
 */
function read(windows: FixedWindows, outOfOrderness: number, entries: readonly Entry[], sizes: readonly number[] = []) {
  const rows = new Map<string, Row>()
  const results: string[] = []
  const late: { time: number; watermark: number }[] = []
  let watermark = NO_WATERMARK
  let next = 0
  for (const size of [...sizes, entries.length]) {
    const closedUntil = watermark.at
    for (const entry of entries.slice(next, next + size)) {
      if (entry.kind === 'event') {
        const pane = windows.paneOf(entry.occurred)
        const first = windows.firstOpen(pane, watermark.at)
        if (first === undefined)
          late.push({ time: Number(entry.occurred) / 1e6, watermark: Number(watermark.at) / 1e6 })
        else {
          const row = { key: entry.key ?? 'x', pane: pane.start, first: first.start, count: 0 }
          const name = `${row.key} ${row.pane} ${row.first}`
          const { count } = rows.get(name) ?? row
          rows.set(name, { ...row, count: count + 1 })
        }
      }
      watermark = advance(watermark, entry, sec(outOfOrderness))
    }
    next += size
    const { at } = watermark
    if (at === undefined) continue
    const closing = (end: Micros) => end <= at && (closedUntil === undefined || end > closedUntil)
    results.push(...countsOf(windows, [...rows.values()], closing))
    for (const [name, { pane }] of rows) if (!windows.firstOpen(windows.paneOf(pane), at)) rows.delete(name)
  }
  const open = countsOf(windows, [...rows.values()], (end) => watermark.at === undefined || end > watermark.at)
  return { results: results.sort(), open, late }
}

/** The counts of the windows whose ends are chosen. */
function countsOf(windows: FixedWindows, rows: readonly Row[], isChosen: (end: Micros) => boolean): string[] {
  const counts = new Map<string, number>()
  for (const { key, pane, first, count } of rows) {
    for (const { start, end } of windows.windowsOf(windows.paneOf(pane))) {
      if (start < first || !isChosen(end)) continue
      const name = `${key} ${start / SECOND}-${end / SECOND}`
      counts.set(name, (counts.get(name) ?? 0) + count)
    }
  }
  return [...counts].map(([name, count]) => `${name}: ${count}`).sort()
}

const event = (second: number, { key = 'x', accepted = second } = {}): Entry => ({
  ...{ kind: 'event', occurred: sec(second), accepted: sec(accepted), key },
})
const events = (...seconds: number[]) => seconds.map((second) => event(second))

const ten = tumbling('10s')

test('case 1: a window closes when the watermark reaches its end', () => {
  expect(read(ten, 0, events(0, 9.999, 10))).toEqual({ results: ['x 0-10: 2'], open: ['x 10-20: 1'], late: [] })
})

test('case 2: events out of order are counted', () => {
  expect(read(ten, 5, events(1, 12, 8, 15)).results).toEqual(['x 0-10: 2'])
})

test('cases 3 and 4: a late event is not counted, in any batches', () => {
  for (const sizes of [[], [2, 1], [1, 1, 1]]) {
    expect(read(ten, 5, events(1, 15, 9), sizes)).toEqual({
      results: ['x 0-10: 1'],
      open: ['x 10-20: 1'],
      late: [{ time: 9, watermark: 10 }],
    })
  }
})

test('case 5: an event from the future closes nothing', () => {
  const entries = [event(1), event(86_000, { accepted: 2 }), event(3), event(16)]
  expect(read(ten, 5, entries)).toEqual({
    results: ['x 0-10: 2'],
    open: ['x 10-20: 1', 'x 86000-86010: 1'],
    late: [],
  })
})

test('case 9: a restart forgets nothing', () => {
  expect(read(ten, 5, events(1, 2, 16), [1])).toMatchObject({ results: ['x 0-10: 2'], late: [] })
})

test('case 18: hopping windows without events have no results', () => {
  const { results, open } = read(hopping('10s', { every: '5s' }), 0, events(7, 20))
  expect(results).toEqual(['x 0-10: 1', 'x 5-15: 1'])
  expect(open).toEqual(['x 15-25: 1', 'x 20-30: 1'])
})

test('case 44: an event that waited is not late', () => {
  const held: Entry[] = [{ kind: 'hold', at: sec(4) }, event(16), event(4, { key: 'y' }), { kind: 'release' }]
  for (const sizes of [[], [1, 1, 1, 1], [2, 2], [3, 1]]) {
    expect(read(ten, 5, held, sizes)).toEqual({ results: ['y 0-10: 1'], open: ['x 10-20: 1'], late: [] })
  }
})

test('a tick closes windows, up to its time less the lateness that is allowed', () => {
  expect(read(ten, 5, [event(1), { kind: 'tick', at: sec(14.999) }]).results).toEqual([])
  expect(read(ten, 5, [event(1), { kind: 'tick', at: sec(15) }]).results).toEqual(['x 0-10: 1'])
})

test('without an event or a tick there is no watermark', () => {
  expect(advance(advance(NO_WATERMARK, { kind: 'hold', at: 5n }, 1n), { kind: 'release' }, 1n)).toEqual(NO_WATERMARK)
})

test('a watermark never goes back: not by a hold, an earlier event, or a tick of before', () => {
  const entries: Entry[] = [event(20), { kind: 'hold', at: sec(4) }, event(30), event(1), { kind: 'tick', at: sec(2) }]
  const seen = entries.reduce((watermark, entry) => advance(watermark, entry, sec(5)), NO_WATERMARK)
  expect(seen).toEqual({ at: sec(15), seen: sec(30), hold: sec(4) })
  expect(advance(seen, { kind: 'release' }, sec(5)).at).toBe(sec(25))
})

test('an event is counted by the windows that it is not late for', () => {
  const windows = hopping('10s', { every: '5s' })
  for (const sizes of [[], [1, 1, 1, 1]]) {
    const { results, late } = read(windows, 0, events(6, 10, 7, 15), sizes)
    expect({ results, late }).toEqual({ results: ['x 0-10: 1', 'x 5-15: 3'], late: [] })
  }
})

const nat = (max: number) => fc.nat({ max })
const entry: fc.Arbitrary<Entry> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(nat(200), nat(200), fc.constantFrom('x', 'y'))
      .map(([second, accepted, key]) => event(second, { key, accepted })),
  },
  { weight: 1, arbitrary: nat(200).map((second): Entry => ({ kind: 'tick', at: sec(second) })) },
  { weight: 1, arbitrary: nat(200).map((second): Entry => ({ kind: 'hold', at: sec(second) })) },
  { weight: 1, arbitrary: fc.constant<Entry>({ kind: 'release' }) },
)
const log = fc.array(entry, { maxLength: 60 })
const someWindows = fc.constantFrom(
  ...[tumbling('10s'), tumbling('7s'), hopping('10s', { every: '5s' }), hopping('10s', { every: '4s' })],
)

test('batches make no difference, and no window has two results', () => {
  const someSizes = fc.array(fc.integer({ min: 1, max: 10 }), { maxLength: 20 })
  fc.assert(
    fc.property(someWindows, nat(30), log, someSizes, (windows, outOfOrderness, entries, sizes) => {
      const whole = read(windows, outOfOrderness, entries)
      expect(read(windows, outOfOrderness, entries, sizes)).toEqual(whole)
      expect(
        read(
          windows,
          outOfOrderness,
          entries,
          entries.map(() => 1),
        ),
      ).toEqual(whole)
      const names = [...whole.results, ...whole.open].map((text) => text.split(':')[0])
      expect(new Set(names).size).toBe(names.length)
    }),
    { numRuns: 500 },
  )
})

test('results are the counts of the events that were not late for their window', () => {
  fc.assert(
    fc.property(someWindows, nat(30), log, (windows, outOfOrderness, entries) => {
      const counts = new Map<string, number>()
      let watermark = NO_WATERMARK
      for (const entry of entries) {
        if (entry.kind === 'event') {
          for (const { start, end } of windows.windowsOf(windows.paneOf(entry.occurred))) {
            const name = `${entry.key} ${start / SECOND}-${end / SECOND}`
            const isLate = watermark.at !== undefined && watermark.at >= end
            if (!isLate) counts.set(name, (counts.get(name) ?? 0) + 1)
          }
        }
        watermark = advance(watermark, entry, sec(outOfOrderness))
      }
      const { results, open } = read(windows, outOfOrderness, entries)
      expect([...results, ...open].sort()).toEqual([...counts].map(([name, count]) => `${name}: ${count}`).sort())
    }),
    { numRuns: 500 },
  )
})
