/** The retry schedule and the parsing of Retry-After, without a clock. */
import { expect, test } from '@jest/globals'
import { DEFAULT_RETRY_POLICY, nextDelayMs, retryAfterMs } from './retry.js'

test('the maximum delays are the documented ones', () => {
  const delays = Array.from({ length: 9 }, (_, n) => delayAfter({ failures: n + 1 }, 0.999_999))
  expect(delays).toEqual([99, 199, 399, 799, 1599, 3199, 6399, 9999, 9999])
})

test('full jitter: from zero to the maximum', () => {
  expect(delayAfter({ failures: 3 }, 0)).toBe(0)
  expect(delayAfter({ failures: 3 }, 0.5)).toBe(200)
})

test('the delay is never shorter than the server asks for', () => {
  expect(delayAfter({ retryAfterMs: 20_000 }, 0)).toBe(20_000)
  expect(delayAfter({ retryAfterMs: 20_000 }, 0.5)).toBe(20_050)
})

test('no try starts after the time is up', () => {
  expect(delayAfter({ elapsedMs: 59_999 }, 0)).toBe(0)
  expect(delayAfter({ elapsedMs: 60_000 }, 0)).toBeUndefined()
  expect(delayAfter({ retryAfterMs: 60_000 }, 0)).toBeUndefined()
})

test('Retry-After in seconds and as a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  expect(retryAfterMs('3', now)).toBe(3000)
  expect(retryAfterMs('Thu, 01 Jan 2026 00:00:05 GMT', now)).toBe(5000)
  expect(retryAfterMs('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0)
  expect(retryAfterMs('soon', now)).toBe(0)
  expect(retryAfterMs(undefined, now)).toBe(0)
})

function delayAfter(tried: Partial<Parameters<typeof nextDelayMs>[0]>, random: number): number | undefined {
  return nextDelayMs({ failures: 1, elapsedMs: 0, retryAfterMs: 0, ...tried }, DEFAULT_RETRY_POLICY, random)
}
