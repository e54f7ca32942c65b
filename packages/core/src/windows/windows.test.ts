/** Which windows a time belongs to: tumbling and hopping ones. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { microsOf, timeOf, type Window } from './micros.js'
import { calendar, type FixedWindows, hopping, session, tumbling } from './windows.js'

const SECOND = 1_000_000n
const seconds = ({ start, end }: Window) => `${start / SECOND}-${end / SECOND}`
const windowsAt = (windows: FixedWindows, second: number) =>
  windows.windowsOf(windows.paneOf(BigInt(second) * SECOND)).map(seconds)

test('a tumbling window has its start and not its end', () => {
  const windows = tumbling('10s')
  expect([0, 9, 10, 19].map((second) => windowsAt(windows, second))).toEqual([['0-10'], ['0-10'], ['10-20'], ['10-20']])
  expect(seconds(windows.paneOf(10n * SECOND - 1n))).toBe('0-10')
})

test('case 19: windows before 1970 are rounded down, too', () => {
  const { start, end } = tumbling('10s').paneOf(microsOf('1969-12-31T23:59:58.000Z'))
  expect([timeOf(start), timeOf(end)]).toEqual(['1969-12-31T23:59:50.000Z', '1970-01-01T00:00:00.000Z'])
})

test('hopping windows overlap', () => {
  const windows = hopping('10s', { every: '5s' })
  expect(windowsAt(windows, 7)).toEqual(['0-10', '5-15'])
  expect(windowsAt(windows, 20)).toEqual(['15-25', '20-30'])
  expect(windowsAt(windows, -1)).toEqual(['-10-0', '-5-5'])
  expect(seconds(windows.paneOf(7n * SECOND))).toBe('5-10')
})

test('a pane of hopping windows is as long as the greatest common divisor', () => {
  const windows = hopping('10s', { every: '4s' })
  expect(seconds(windows.paneOf(7n * SECOND))).toBe('6-8')
  expect(windowsAt(windows, 7)).toEqual(['0-10', '4-14'])
  expect(windowsAt(windows, 9)).toEqual(['0-10', '4-14', '8-18'])
})

test('a day may be divided into minutes', () => {
  const windows = hopping('1d', { every: '1m' })
  expect(windows.windowsOf(windows.paneOf(0n))).toHaveLength(1_440)
})

test('an event may be late for the first of its windows only', () => {
  const windows = hopping('10s', { every: '5s' })
  const pane = windows.paneOf(7n * SECOND)
  const openAt = (watermark: bigint | undefined) => {
    const open = windows.firstOpen(pane, watermark)
    return open && seconds(open)
  }
  const watermarks = [undefined, 0n, 10n * SECOND - 1n, 10n * SECOND, 15n * SECOND - 1n, 15n * SECOND]
  expect(watermarks.map(openAt)).toEqual(['0-10', '0-10', '0-10', '5-15', '5-15', undefined])
})

test('a tumbling window is open until a watermark reaches its end', () => {
  const windows = tumbling('10s')
  const pane = windows.paneOf(0n)
  expect(windows.firstOpen(pane, undefined)).toBe(pane)
  expect(windows.firstOpen(pane, 10n * SECOND - 1n)).toBe(pane)
  expect(windows.firstOpen(pane, 10n * SECOND)).toBeUndefined()
})

test('signatures are equal for the same windows, and only for them', () => {
  const signatures = [
    [tumbling('60s'), tumbling('1m')],
    [hopping('1m', { every: '1m' }), hopping('60s', { every: '60s' })],
    [hopping('1m', { every: '30s' })],
    [calendar('day', { timeZone: 'Europe/Berlin' }), calendar('day', { timeZone: 'Europe/Berlin' })],
    [calendar('day', { timeZone: 'Europe/Paris' })],
    [calendar('week', { timeZone: 'Europe/Paris' })],
    [session({ gap: '1m' }), session({ gap: '60s' })],
    [session({ gap: '1m', max: '1h' })],
  ].map((same) => new Set(same.map(({ signature }) => signature)))
  expect(signatures.map(({ size }) => size)).toEqual(signatures.map(() => 1))
  expect(new Set(signatures.flatMap((same) => [...same])).size).toBe(signatures.length)
})

test.each<[string, () => unknown, string]>([
  ['a size that is no duration', () => tumbling(5 as never), 'tumbling: the size must be a duration'],
  ['an empty size', () => tumbling('0s'), "tumbling: the size must be longer than 0, not '0s'"],
  ['no options', () => hopping('1h', undefined as never), 'hopping needs an object with every, not undefined'],
  ['no step', () => hopping('1h', {} as never), 'hopping: every must be a duration'],
  ['an unknown option', () => hopping('1h', { evry: '5m' } as never), "hopping: unknown option 'evry'"],
  [
    'a step that leaves holes',
    () => hopping('5m', { every: '1h' }),
    "hopping: every ('1h') must not be longer than the size ('5m')",
  ],
  [
    'a step that needs too many panes',
    () => hopping('1d', { every: '59s' }),
    "hopping: the size ('1d') must have at most 1440 parts, not 86400 parts, the greatest common divisor of the size and of every ('59s')",
  ],
  ['no gap', () => session({} as never), 'session: gap must be a duration'],
  ['an empty gap', () => session({ gap: '0s' }), "session: gap must be longer than 0, not '0s'"],
  ['a wrong maximum', () => session({ gap: '1s', max: 'never' }), 'session: max must be a duration'],
  ['an unknown unit', () => calendar('year' as never, { timeZone: 'UTC' }), `calendar: the unit must be 'hour', 'day'`],
  ['no time zone', () => calendar('day', {} as never), 'calendar: timeZone must be a time zone'],
  [
    'an unknown time zone',
    () => calendar('day', { timeZone: 'Europe/Bonn' }),
    `calendar: timeZone must be a time zone such as 'Europe/Berlin', not the text "Europe/Bonn"`,
  ],
])('refuses %s', (_, make, message) => {
  expect(make).toThrow(TypeError)
  expect(make).toThrow(message)
})

const hops = fc
  .record({ every: fc.integer({ min: 1, max: 60 }), more: fc.integer({ min: 0, max: 200 }) })
  .map(({ every, more }) => ({ every, size: every + more }))
const someMicros = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n })

test('windows of a pane are those that contain any of its times', () => {
  fc.assert(
    fc.property(hops, someMicros, fc.option(someMicros), ({ every, size }, time, watermark) => {
      const windows = hopping(`${size}s`, { every: `${every}s` })
      const pane = windows.paneOf(time)
      expect(pane.start <= time && time < pane.end).toBe(true)
      const found = windows.windowsOf(pane)
      const length = BigInt(size) * SECOND
      const step = BigInt(every) * SECOND
      const expected: Window[] = []
      let number = (time - length) / step - 2n
      for (; number * step <= time; number++) {
        const start = number * step
        if (time < start + length) expected.push({ start, end: start + length })
      }
      expect(found).toEqual(expected)
      for (const { start, end } of found) expect(start <= pane.start && pane.end <= end).toBe(true)
      const open = found.find(({ end }) => watermark === null || end > watermark)
      expect(windows.firstOpen(pane, watermark ?? undefined)).toEqual(open)
    }),
  )
})

test('panes follow each other without a hole', () => {
  fc.assert(
    fc.property(hops, someMicros, ({ every, size }, time) => {
      for (const windows of [hopping(`${size}s`, { every: `${every}s` }), tumbling(`${size}s`)]) {
        const { start, end } = windows.paneOf(time)
        expect([windows.paneOf(start - 1n).end, windows.paneOf(end).start]).toEqual([start, end])
      }
    }),
  )
})
