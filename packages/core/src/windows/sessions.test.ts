/** Sessions: which ones an event joins, when they close, and that neither depends on batches. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { closesAt, placeInSession, type SessionSpan } from './sessions.js'
import { advance, type LogEntryTime, NO_WATERMARK } from './watermark.js'
import { type SessionWindows, session } from './windows.js'

const SECOND = 1_000_000n
const sec = (seconds: number) => BigInt(Math.round(seconds * 1_000)) * 1_000n

interface Session extends SessionSpan {
  count: number
}

const shown = ({ first, last, count }: Session) => `${first / SECOND}-${last / SECOND}: ${count}`

/**
 * Reads entries of one key in batches of these sizes, each from the stored state, and closes sessions after each batch.
 * The times of `late` are in seconds.
 */
function read(
  windows: SessionWindows,
  outOfOrderness: number,
  entries: readonly LogEntryTime[],
  sizes: readonly number[] = [],
) {
  let stored: Session[] = []
  let watermark = NO_WATERMARK
  const closed: string[] = []
  const late: number[] = []
  let next = 0
  for (const size of [...sizes, entries.length]) {
    for (const entry of entries.slice(next, next + size)) {
      if (entry.kind === 'event') {
        const place = placeInSession(stored, entry.occurred, watermark.at, windows)
        if (place === undefined) late.push(Number(entry.occurred) / 1e6)
        else {
          const { joined, first, last } = place
          const count = joined.reduce((sum, session) => sum + session.count, 1)
          stored = [...stored.filter((session) => !joined.includes(session)), { first, last, count }]
        }
      }
      watermark = advance(watermark, entry, sec(outOfOrderness))
    }
    next += size
    const passed = (session: Session) => watermark.at !== undefined && watermark.at >= closesAt(session, windows)
    closed.push(...stored.filter(passed).map(shown))
    stored = stored.filter((session) => !passed(session))
  }
  return { closed: closed.sort(), open: stored.map(shown).sort(), late }
}

/** Events that were accepted when they occurred. */
const events = (...seconds: number[]) =>
  seconds.map((second): LogEntryTime => ({ kind: 'event', occurred: sec(second), accepted: sec(second) }))

const gap10 = session({ gap: '10s' })

test('case 13: a gap of exactly `gap` still joins', () => {
  expect(read(gap10, 0, events(0, 10, 21))).toEqual({ closed: ['0-10: 2'], open: ['21-21: 1'], late: [] })
  expect(read(gap10, 0, events(0, 10, 20.001))).toMatchObject({ closed: ['0-10: 2'], open: ['20-20: 1'] })
})

test('case 14: an event between two sessions makes them one before either is closed', () => {
  expect(read(gap10, 30, events(0, 15, 8))).toEqual({ closed: [], open: ['0-15: 3'], late: [] })
})

test('case 15: a session goes on over batches', () => {
  for (const sizes of [[1, 1, 1], [2, 1], []]) {
    expect(read(gap10, 0, events(0, 5, 9, 50), sizes).closed).toEqual(['0-9: 3'])
  }
})

test('case 16: a tick closes a session of one event', () => {
  expect(read(gap10, 5, [...events(1), { kind: 'tick', at: sec(16) }])).toMatchObject({ closed: [], open: ['1-1: 1'] })
  expect(read(gap10, 5, [...events(1), { kind: 'tick', at: sec(16.001) }])).toMatchObject({ closed: ['1-1: 1'] })
})

const max60 = session({ gap: '10s', max: '60s' })

test('case 17: a session is not longer than `max`', () => {
  expect(read(max60, 30, events(0, 9, 18, 27, 36, 45, 54, 63)).open).toEqual(['0-54: 7', '63-63: 1'])
  expect(read(max60, 30, events(0, 10, 20, 30, 40, 50, 60)).open).toEqual(['0-60: 7'])
})

test('an event between two sessions that are too long together joins the earlier one, or else the later one', () => {
  const two = [0, 9, 18, 27, 36, 45, 54, 63, 72]
  expect(read(max60, 60, events(...two, 58)).open).toEqual(['0-58: 8', '63-72: 2'])
  expect(read(max60, 60, events(...two, 61)).open).toEqual(['0-54: 7', '61-72: 3'])
  expect(read(max60, 60, events(...two, 70)).open).toEqual(['0-54: 7', '63-72: 3'])
  const short = session({ gap: '10s', max: '5s' })
  expect(read(short, 60, events(0, 20, 10)).open).toEqual(['0-0: 1', '10-10: 1', '20-20: 1'])
})

test('lateness is judged by the session that the event joins', () => {
  // The watermark is 25: {14-16} is open until it passes 26.
  expect(read(gap10, 5, events(14, 16, 30, 12))).toEqual({ closed: [], open: ['12-16: 3', '30-30: 1'], late: [] })
  // The watermark is 27, and an event at 17 alone would be open until it passes 27.
  expect(read(gap10, 5, events(14, 16, 32, 16.999))).toMatchObject({ closed: ['14-16: 2'], late: [16.999] })
  expect(read(gap10, 5, events(14, 16, 32, 17))).toMatchObject({ open: ['17-17: 1', '32-32: 1'], late: [] })
})

const spans = fc.record({ gap: fc.integer({ min: 1, max: 20 }), max: fc.option(fc.integer({ min: 1, max: 60 })) })
const windowsOf = ({ gap, max }: { gap: number; max: number | null }) =>
  session({ gap: `${gap}s`, ...(max !== null && { max: `${max}s` }) })
const times = fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 40 })

test('without `max`, the order of the events makes no difference', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), times, (gap, seconds) => {
      const sessions: Session[] = []
      for (const time of seconds.toSorted((a, b) => a - b).map(sec)) {
        const last = sessions.at(-1)
        if (last && time - last.last <= sec(gap)) sessions.splice(-1, 1, { ...last, last: time, count: last.count + 1 })
        else sessions.push({ first: time, last: time, count: 1 })
      }
      const { open } = read(session({ gap: `${gap}s` }), 1_000, events(...seconds))
      expect(open).toEqual(sessions.map(shown).sort())
    }),
  )
})

test('open sessions do not overlap, are not longer than `max`, and could not be one', () => {
  fc.assert(
    fc.property(spans, times, (given, seconds) => {
      const windows = windowsOf(given)
      let sessions: SessionSpan[] = []
      for (const time of seconds.map(sec)) {
        const { joined, ...place } = placeInSession(sessions, time, undefined, windows)!
        expect(place.first <= time && time <= place.last).toBe(true)
        sessions = [...sessions.filter((session) => !joined.includes(session)), place]
      }
      sessions.sort((a, b) => Number(a.first - b.first))
      for (const [i, { first, last }] of sessions.entries()) {
        if (windows.max !== undefined) expect(last - first <= windows.max).toBe(true)
        const next = sessions[i + 1]
        if (!next) continue
        expect(last < next.first).toBe(true)
        const tooLong = windows.max !== undefined && next.last - first > windows.max
        expect(next.first - last > windows.gap || tooLong).toBe(true)
      }
    }),
  )
})

test('batches make no difference, and no session is closed twice', () => {
  const second = fc.nat({ max: 200 }).map(sec)
  const entry = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant<'event'>('event'), occurred: second, accepted: second }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom<'tick' | 'hold'>('tick', 'hold'), at: second }) },
    { weight: 1, arbitrary: fc.constant<LogEntryTime>({ kind: 'release' }) },
  )
  const sizes = fc.array(fc.integer({ min: 1, max: 10 }), { maxLength: 20 })
  fc.assert(
    fc.property(
      spans,
      fc.nat(30),
      fc.array(entry, { maxLength: 60 }),
      sizes,
      (given, outOfOrderness, entries, sizes) => {
        const whole = read(windowsOf(given), outOfOrderness, entries)
        expect(read(windowsOf(given), outOfOrderness, entries, sizes)).toEqual(whole)
        expect(
          read(
            windowsOf(given),
            outOfOrderness,
            entries,
            entries.map(() => 1),
          ),
        ).toEqual(whole)
        const starts = [...whole.closed, ...whole.open].map((text) => text.split('-')[0])
        expect(new Set(starts).size).toBe(starts.length)
      },
    ),
    { numRuns: 500 },
  )
})
