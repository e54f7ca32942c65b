/** Durations and times as windows use them. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readTime } from '../time.js'
import { readDuration, requireOptions } from './durations.js'
import { floorTo, microsOf, msOf, timeOf } from './micros.js'

test.each<[string, bigint]>([
  ['1ms', 1_000n],
  ['30s', 30_000_000n],
  ['5m', 300_000_000n],
  ['12h', 43_200_000_000n],
  ['1d', 86_400_000_000n],
  ['0036500d', 3_153_600_000_000_000n],
])('reads %s', (text, micros) => {
  expect(readDuration('size', text)).toBe(micros)
})

const FORMS = "size must be a duration such as '30s', '5m', '12h' or '1d', not "

test.each<[unknown, string]>([
  [5, `${FORMS}the number 5`],
  ['5', `${FORMS}the text "5"`],
  ['', `${FORMS}the text ""`],
  ['m', `${FORMS}the text "m"`],
  ['5 m', `${FORMS}the text "5 m"`],
  ['5M', `${FORMS}the text "5M"`],
  ['5m\n', `${FORMS}the text "5m\\n"`],
  ['1.5h', `${FORMS}the text "1.5h"`],
  ['-5m', `${FORMS}the text "-5m"`],
  ['1h30m', `${FORMS}the text "1h30m"`],
  ['5w', `${FORMS}the text "5w"`],
  [['5m'], `${FORMS}an array of 1`],
  [undefined, `${FORMS}undefined`],
  ['0s', "size must be longer than 0, not '0s'"],
  ['36501d', "size must be at most '36500d', not '36501d'"],
  ['999999999999999d', "size must be at most '36500d', not '999999999999999d'"],
])('refuses %p', (written, message) => {
  expect(() => readDuration('size', written)).toThrow(new TypeError(message))
})

test('zero is a duration where it is allowed', () => {
  expect(readDuration('outOfOrderness', '0s', 'zero')).toBe(0n)
})

test('options are an object without unknown members', () => {
  requireOptions('session', { gap: '1m' }, ['gap', 'max'])
  expect(() => requireOptions('session', '1m', ['gap', 'max'])).toThrow(
    new TypeError('session needs an object with gap and max, not the text "1m"'),
  )
  expect(() => requireOptions('session', null, ['gap'])).toThrow('session needs an object with gap, not null')
  expect(() => requireOptions('session', { gpa: '1m' }, ['gap'])).toThrow("session: unknown option 'gpa'")
})

test.each<[string, bigint]>([
  ['1970-01-01T00:00:00.000Z', 0n],
  ['1970-01-01T00:00:00.000001Z', 1n],
  ['1969-12-31T23:59:59.999999Z', -1n],
  ['1969-12-31T23:59:59.999Z', -1_000n],
  ['0001-01-01T00:00:00.000Z', -62_135_596_800_000_000n],
  ['9999-12-31T23:59:59.999999Z', 253_402_300_799_999_999n],
])('%s is %s µs', (text, micros) => {
  expect(microsOf(text)).toBe(micros)
  expect(timeOf(micros)).toBe(text)
})

test('every time of an event keeps its microseconds', () => {
  const range = { min: microsOf('0001-01-01T00:00:00.000Z'), max: microsOf('9999-12-31T23:59:59.999999Z') }
  fc.assert(
    fc.property(fc.bigInt(range), (micros) => {
      const text = timeOf(micros)
      expect(readTime(text).time).toBe(text)
      expect(microsOf(text)).toBe(micros)
      expect(BigInt(msOf(micros))).toBe(floorTo(micros, 1_000n) / 1_000n)
    }),
  )
})

test.each(['', 'now', '2026-01-01', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00.000+01:00'])(
  '%p is no time',
  (text) => {
    expect(() => microsOf(text)).toThrow(new RangeError(`"${text}" is no time such as 2026-01-31T12:00:00.000Z`))
  },
)

test('rounds down to a multiple, also before 1970', () => {
  expect([floorTo(19n, 10n), floorTo(10n, 10n), floorTo(-1n, 10n), floorTo(-10n, 10n)]).toEqual([10n, 10n, -10n, -10n])
})
