/** The retry schedule and its jitter. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { backoffMs, DEFAULT_RETRY_POLICY, withFullJitter } from './retry-policy.js'

test('by default there are four attempts, with at most 2, 4 and 8 s between them', () => {
  expect(DEFAULT_RETRY_POLICY.attempts).toBe(4)
  expect([1, 2, 3].map((attempts) => backoffMs(attempts, DEFAULT_RETRY_POLICY))).toEqual([2_000, 4_000, 8_000])
})

test('no delay exceeds the cap, after any number of attempts', () => {
  const policy = { attempts: 2_000, baseDelayMs: 2_000, maxDelayMs: 5_000 }
  expect([1, 2, 3, 40, 1_999].map((attempts) => backoffMs(attempts, policy))).toEqual([
    2_000, 4_000, 5_000, 5_000, 5_000,
  ])
})

test('delays never shrink from one attempt to the next', () => {
  fc.assert(
    fc.property(fc.nat(1e6), fc.nat(1e7), fc.integer({ min: 1, max: 100 }), (baseDelayMs, maxDelayMs, attempts) => {
      const policy = { attempts: 100, baseDelayMs, maxDelayMs }
      expect(backoffMs(attempts + 1, policy)).toBeGreaterThanOrEqual(backoffMs(attempts, policy))
    }),
  )
})

test('jitter gives a whole number of milliseconds from zero to the maximum delay', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(fc.nat(1e9), random, (longestMs, drawn) => {
      const delayMs = withFullJitter(longestMs, drawn)
      expect(Number.isInteger(delayMs)).toBe(true)
      expect(delayMs).toBeGreaterThanOrEqual(0)
      expect(delayMs).toBeLessThanOrEqual(Math.max(0, longestMs - 1))
    }),
  )
})

test('jitter is full: it spreads uniformly from zero to the maximum delay', () => {
  expect([0, 0.25, 0.5, 0.999].map((drawn) => withFullJitter(8_000, drawn))).toEqual([0, 2_000, 4_000, 7_992])
})
