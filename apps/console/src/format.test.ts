/** Numbers, times and durations for people. */
import { describe, expect, test } from '@jest/globals'
import { ago, count, duration, percent, quoted, roughly, shellWord, time } from './format.js'

test.each([
  [0, '0 s'],
  [0.000_85, '850 µs'],
  [0.0123, '12 ms'],
  [1.44, '1.4 s'],
  [42, '42 s'],
  [600, '10 min'],
  [8_000, '2 h'],
  [500_000, '6 d'],
  [null, '–'],
])('%p seconds are %p', (seconds, text) => {
  expect(duration(seconds)).toBe(text)
})

test.each([
  [12_345, '12,345'],
  [3.44, '3.4'],
  [31.9, '32'],
  [null, '–'],
])('%p is counted as %p', (value, text) => {
  expect(count(value)).toBe(text)
})

test.each([
  [0, 0, '0 %'],
  [1, 5_000, '<0.1 %'],
  [7, 200, '3.5 %'],
  [120, 1_000, '12 %'],
])('%p of %p are %p', (part, all, text) => {
  expect(percent(part, all)).toBe(text)
})

test.each([
  [999_999, '999,999'],
  [1_234_567, '1.23 M'],
  [45_000_000_000, '45 G'],
  [null, '–'],
])('%p is roughly %p', (value, text) => {
  expect(roughly(value)).toBe(text)
})

describe('a moment', () => {
  const now = new Date('2026-03-04T12:00:00')

  test('has a date only where it was not today', () => {
    expect(time('2026-03-04T09:05:07', now)).toBe('09:05:07')
    expect(time('2026-03-03T09:05:07', now)).toBe('3 Mar 09:05:07')
    expect(time('2025-03-03T09:05:07', now)).toBe('3 Mar 2025 09:05:07')
  })

  test('was so long ago, or will be', () => {
    const at = (seconds: number) => new Date(now.getTime() + seconds * 1_000).toISOString()
    expect([at(-90), at(0), at(3.4)].map((iso) => ago(iso, now.getTime()))).toEqual(['90 s ago', 'now', 'in 3 s'])
  })
})

test('texts are quoted for SQL and for shells', () => {
  expect(quoted("it's")).toBe("'it''s'")
  expect([shellWord('a.b-1'), shellWord("it's $HOME")]).toEqual(['a.b-1', `'it'\\''s $HOME'`])
  // Invisible characters are escaped, with the same meaning.
  expect(quoted("a'\\\u202e")).toBe(String.raw`E'a\'\\\U0000202E'`)
  expect(shellWord("a'\\\u202e")).toBe(String.raw`$'a\'\\\U0000202E'`)
})
