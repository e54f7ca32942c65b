/** Windows of the calendar, in zones whose clocks change. */
import { expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import type { CalendarUnit } from './calendar.js'
import { microsOf, msOf, timeOf, type Window } from './micros.js'
import { calendar } from './windows.js'

const HOUR = 3_600_000_000n

const at = (time: string) => microsOf(time.replace(/Z$/, '.000Z'))
const shown = ({ start, end }: Window) => [timeOf(start), timeOf(end)].map((time) => time.replace(':00.000Z', 'Z'))
const windowAt = (unit: CalendarUnit, timeZone: string, time: string) => calendar(unit, { timeZone }).paneOf(at(time))
const hours = ({ start, end }: Window) => Number(end - start) / Number(HOUR)

test('case 20: a day of 23 hours', () => {
  const day = windowAt('day', 'Europe/Berlin', '2026-03-29T12:00:00Z')
  expect(shown(day)).toEqual(['2026-03-28T23:00Z', '2026-03-29T22:00Z'])
  expect(hours(day)).toBe(23)
})

test('case 21: a day of 25 hours, whose repeated hour is in one window', () => {
  const windows = calendar('day', { timeZone: 'Europe/Berlin' })
  const day = windows.paneOf(at('2026-10-25T00:30:00Z'))
  expect(windows.paneOf(at('2026-10-25T01:30:00Z'))).toEqual(day)
  expect(shown(day)).toEqual(['2026-10-24T22:00Z', '2026-10-25T23:00Z'])
  expect(hours(day)).toBe(25)
})

test('case 22: a day without midnight', () => {
  const day = windowAt('day', 'Africa/Cairo', '2024-04-26T12:00:00Z')
  expect(shown(day)).toEqual(['2024-04-25T22:00Z', '2024-04-26T21:00Z'])
})

test.each<[string, CalendarUnit, string, string, string, string]>([
  ['a day of UTC', 'day', 'UTC', '1969-12-31T23:59:59Z', '1969-12-31T00:00Z', '1970-01-01T00:00Z'],
  ['a week begins on Monday', 'week', 'UTC', '1970-01-01T00:00:00Z', '1969-12-29T00:00Z', '1970-01-05T00:00Z'],
  ['on Sunday it ends', 'week', 'UTC', '2026-03-01T23:59:59Z', '2026-02-23T00:00Z', '2026-03-02T00:00Z'],
  ['a week of 167 hours', 'week', 'Europe/Berlin', '2026-03-25T00:00:00Z', '2026-03-22T23:00Z', '2026-03-29T22:00Z'],
  ['a month', 'month', 'UTC', '2024-02-29T23:00:00Z', '2024-02-01T00:00Z', '2024-03-01T00:00Z'],
  ['December', 'month', 'UTC', '2024-12-31T23:00:00Z', '2024-12-01T00:00Z', '2025-01-01T00:00Z'],
  ['a month of a zone', 'month', 'Asia/Kolkata', '2026-01-31T18:30:00Z', '2026-01-31T18:30Z', '2026-02-28T18:30Z'],
  ['the first month', 'month', 'UTC', '0001-01-15T00:00:00Z', '0001-01-01T00:00Z', '0001-02-01T00:00Z'],
  ['a month of the year 99', 'month', 'UTC', '0099-12-15T00:00:00Z', '0099-12-01T00:00Z', '0100-01-01T00:00Z'],
  ['the last day', 'day', 'UTC', '9999-12-31T23:00:00Z', '9999-12-31T00:00Z', '+010000-01-01T00:00Z'],
  // Samoa left out 2011-12-30.
  [
    'the day before a missing one',
    'day',
    'Pacific/Apia',
    '2011-12-30T09:00:00Z',
    '2011-12-29T10:00Z',
    '2011-12-30T10:00Z',
  ],
  [
    'the day after a missing one',
    'day',
    'Pacific/Apia',
    '2011-12-30T10:00:00Z',
    '2011-12-30T10:00Z',
    '2011-12-31T10:00Z',
  ],
  // At 00:01 of 2010-11-07 the clock was turned back to 23:01 of the day before.
  [
    'a date that is shown twice',
    'day',
    'America/St_Johns',
    '2010-11-07T02:45:00Z',
    '2010-11-07T02:30Z',
    '2010-11-08T03:30Z',
  ],
  ['the day before it', 'day', 'America/St_Johns', '2010-11-07T02:29:59Z', '2010-11-06T02:30Z', '2010-11-07T02:30Z'],
  [
    'midnight twice: the first counts',
    'day',
    'America/Havana',
    '2026-11-01T05:30:00Z',
    '2026-11-01T04:00Z',
    '2026-11-02T05:00Z',
  ],
  ['an hour', 'hour', 'Asia/Kolkata', '2026-01-01T00:00:00Z', '2025-12-31T23:30Z', '2026-01-01T00:30Z'],
  [
    'an hour before the clock changes',
    'hour',
    'Europe/Berlin',
    '2026-10-25T00:59:59Z',
    '2026-10-25T00:00Z',
    '2026-10-25T01:00Z',
  ],
  ['the same hour again', 'hour', 'Europe/Berlin', '2026-10-25T01:00:00Z', '2026-10-25T01:00Z', '2026-10-25T02:00Z'],
  [
    'an hour that is repeated by half',
    'hour',
    'Australia/Lord_Howe',
    '2026-04-04T15:15:00Z',
    '2026-04-04T15:00Z',
    '2026-04-04T15:30Z',
  ],
  [
    'the hour before it',
    'hour',
    'Australia/Lord_Howe',
    '2026-04-04T14:59:00Z',
    '2026-04-04T14:00Z',
    '2026-04-04T15:00Z',
  ],
])('%s', (_, unit, timeZone, time, start, end) => {
  expect(shown(windowAt(unit, timeZone, time))).toEqual([start, end])
})

test('a time before standard time is right to the second', () => {
  const { start, end } = windowAt('day', 'Europe/Berlin', '1800-06-01T12:00:00Z')
  expect([timeOf(start), timeOf(end)]).toEqual(['1800-05-31T23:06:32.000Z', '1800-06-01T23:06:32.000Z'])
})

const zones = fc.constantFrom('UTC', ...Intl.supportedValuesOf('timeZone'))
const units = fc.constantFrom<CalendarUnit>('hour', 'day', 'week', 'month')
const times = fc.oneof(
  fc.bigInt({ min: at('1960-01-01T00:00:00Z'), max: at('2040-01-01T00:00:00Z') }),
  fc.bigInt({ min: at('0001-01-01T00:00:00Z'), max: at('9999-12-31T00:00:00Z') }),
)

test('windows follow each other without a hole, whichever of them is computed first', () => {
  fc.assert(
    fc.property(zones, units, times, (timeZone, unit, time) => {
      const windows = calendar(unit, { timeZone })
      const { start, end } = windows.paneOf(time)
      expect(start <= time && time < end).toBe(true)
      const fresh = calendar(unit, { timeZone })
      expect([fresh.paneOf(start - 1n).end, fresh.paneOf(end).start]).toEqual([start, end])
      expect(fresh.paneOf(end - 1n)).toEqual({ start, end })
    }),
    { numRuns: 150 },
  )
})

/** The date that the clock of a zone shows, found without the code under test. */
function dateOf(timeZone: string, micros: bigint): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' }).format(msOf(micros))
}

/** Zones where the clock was turned back over midnight, mostly at 00:01, so that dates were shown twice. */
const SHOWN_TWICE = ['America/St_Johns', 'America/Goose_Bay', 'America/Moncton', 'Antarctica/Casey']

test('a day begins when its date is first shown, and all its times show it', () => {
  const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 })
  const recent = fc.bigInt({ min: at('1988-01-01T00:00:00Z'), max: at('2040-01-01T00:00:00Z') })
  fc.assert(
    fc.property(zones, recent, shares, (timeZone, time, places) => {
      fc.pre(!SHOWN_TWICE.includes(timeZone))
      const { start, end } = calendar('day', { timeZone }).paneOf(time)
      const date = dateOf(timeZone, time)
      const inside = places.map((place) => start + BigInt(Math.floor(Number(end - start - 1n) * place)))
      for (const moment of [start, ...inside, end - 1n]) expect(dateOf(timeZone, moment)).toBe(date)
      expect([dateOf(timeZone, start - 1n), dateOf(timeZone, end)]).not.toContain(date)
    }),
    { numRuns: 150 },
  )
})

test('the clock of a zone is asked once for each day, and a few more times where it changes', () => {
  const asked = jest.spyOn(Intl.DateTimeFormat.prototype, 'formatToParts')
  const windows = calendar('day', { timeZone: 'America/New_York' })
  const from = at('2016-01-01T00:00:00Z')
  for (let n = 0n; n < 100_000n; n++) windows.paneOf(from + n * 3_155_760_000n)
  const [days, changes] = [3_653, 20]
  expect(asked.mock.calls.length).toBeLessThan(days + changes * 20)
  asked.mockRestore()
})
