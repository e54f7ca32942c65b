/** Times: exactly what RFC 3339 allows, to the microsecond. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readTime } from './time.js'

describe('a time is normalized to UTC', () => {
  test.each([
    ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31t12:00:00z', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31T12:00:00.5+01:30', '2026-01-31T10:30:00.500Z'],
    ['2026-01-31T12:00:00-00:00', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31T12:00:00.123456Z', '2026-01-31T12:00:00.123456Z'],
    ['2026-01-31T12:00:00.000001-23:59', '2026-02-01T11:59:00.000001Z'],
    ['2026-01-31T12:00:00.999900000000Z', '2026-01-31T12:00:00.999900Z'],
    ['2026-01-31T12:00:00.1230000000Z', '2026-01-31T12:00:00.123Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['0099-12-31T23:59:59.999999Z', '0099-12-31T23:59:59.999999Z'],
    ['0000-12-31T23:59:59-00:01', '0001-01-01T00:00:59.000Z'],
    ['9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999Z'],
    ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
    ['2016-12-31T23:59:60.25Z', '2017-01-01T00:00:00.250Z'],
    ['1990-12-31T15:59:60-08:00', '1991-01-01T00:00:00.000Z'],
    ['2017-01-01T05:29:60+05:30', '2017-01-01T00:00:00.000Z'],
    ['2015-06-30T23:59:60Z', '2015-07-01T00:00:00.000Z'],
  ])('%s', (text, time) => {
    expect(readTime(text)).toEqual({ time })
  })
})

const FORM = /^is no time as in RFC 3339/
const LEAP = /^has a second 60/
const YEARS = /^is no moment between the years 1 and 9999/
const DIGITS = /^has more than six digits of a second/

describe('an invalid time is refused with the reason', () => {
  test.each([
    ['2026-01-01 00:00:00Z', FORM],
    ['2026-01-01\n00:00:00Z', FORM],
    ['2026-01-01T00:00:00Z\n', FORM],
    ['2026-01-01T00:00:00+0100', FORM],
    ['2026-01-01T00:00:00+01', FORM],
    ['2026-01-01T00:00:00 01:00', FORM],
    ['2026-01-01T00:00:00', FORM],
    ['2026-01-01T00:00Z', FORM],
    ['2026-01-01T00:00:00.Z', FORM],
    ['2026-01-01T00:00:00,5Z', FORM],
    ['2026-01-01', FORM],
    ['+002026-01-01T00:00:00Z', FORM],
    ['2026-01-01T24:00:00Z', FORM],
    ['2026-01-01T00:60:00Z', FORM],
    ['2026-01-01T00:00:61Z', FORM],
    ['2026-01-01T00:00:00+24:00', FORM],
    ['2026-01-01T00:00:00+00:60', FORM],
    ['2026-13-01T00:00:00Z', FORM],
    ['２026-01-01T00:00:00Z', FORM],
    ['now', FORM],
    ['', FORM],
    ['2026-02-29T00:00:00Z', /^is of a day that there is not/],
    ['1900-02-29T00:00:00Z', /^is of a day that there is not/],
    ['2026-04-31T00:00:00Z', /^is of a day that there is not/],
    ['2026-01-00T00:00:00Z', /^is of a day that there is not/],
    ['2026-01-01T00:00:60Z', LEAP],
    ['2016-12-30T23:59:60Z', LEAP],
    ['2016-12-31T23:59:60+01:00', LEAP],
    ['0000-12-31T23:59:59Z', YEARS],
    ['0001-01-01T00:00:00+00:01', YEARS],
    ['9999-12-31T23:59:59-00:01', YEARS],
    ['9999-12-31T23:59:60Z', YEARS],
    ['2026-01-01T00:00:00.1234567Z', DIGITS],
    ['2026-01-01T00:00:00.000000001Z', DIGITS],
  ])('%j', (text, fault) => {
    expect(readTime(text)).toEqual({ fault: expect.stringMatching(fault) })
  })
})

test('normalizing is idempotent', () => {
  const moment = fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  fc.assert(
    fc.property(moment, fc.nat(999), (date, micros) => {
      const text = `${date.toISOString().slice(0, -1)}${micros ? String(micros).padStart(3, '0') : ''}Z`
      expect(readTime(text)).toEqual({ time: text })
    }),
  )
})

test('a long text is refused quickly', () => {
  expect(readTime(`2026-01-31T12:00:00.${'0'.repeat(1e6)}Z`)).toEqual({ time: '2026-01-31T12:00:00.000Z' })
  expect(readTime(`2026-01-31T12:00:00.${'0'.repeat(1e6)}x`).fault).toMatch(FORM)
})
