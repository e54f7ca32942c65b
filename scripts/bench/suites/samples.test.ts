/** Rates between samples. */
import { expect, test } from '@jest/globals'
import { lastToFirst, ratesOfParts, secondsUntil } from './samples.js'

const samples = [
  { seconds: 0, events: 0 },
  { seconds: 1, events: 100 },
  { seconds: 3, events: 200 },
  { seconds: 3.5, events: 250 },
]

test('between two samples the rate is constant', () => {
  expect(secondsUntil(samples, 0)).toBe(0)
  expect(secondsUntil(samples, 100)).toBe(1)
  expect(secondsUntil(samples, 150)).toBe(2)
  expect(() => secondsUntil(samples, 251)).toThrow(RangeError)
})

test('only complete parts have a rate', () => {
  expect(ratesOfParts(samples, 100)).toEqual([
    { upTo: 100, eventsPerSecond: 100 },
    { upTo: 200, eventsPerSecond: 50 },
  ])
  expect(ratesOfParts([], 100)).toEqual([])
})

test('a run of less than ten million events is compared by its first and its last tenth', () => {
  // The first 25 events take 0.25 s, the last 25 take 0.25 s; with the slow middle they do not change.
  expect(lastToFirst(samples, 250)).toBeCloseTo(1)
  expect(lastToFirst(samples.slice(0, 3), 200)).toBeCloseTo(0.5)
})
