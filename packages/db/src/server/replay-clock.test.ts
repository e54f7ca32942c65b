/** The lag of a standby, from pairs of times and positions. */
import { expect, test } from '@jest/globals'
import { createReplayClock } from './replay-clock.js'

test('before the first replayed sample, the lag is the time since the start', () => {
  const clock = createReplayClock(100)
  clock.sample(200, 10n)
  clock.replayed(9n)
  expect([clock.isKnown(), clock.lagMs(1_100)]).toEqual([false, 1_000])
})

test('the newest replayed sample counts', () => {
  const clock = createReplayClock(0)
  for (const [at, position] of [
    [100, 10n],
    [200, 20n],
    [300, 30n],
  ] as const)
    clock.sample(at, position)
  clock.replayed(29n)
  expect([clock.isKnown(), clock.lagMs(300)]).toEqual([true, 100])
  clock.replayed(30n)
  expect(clock.lagMs(300)).toBe(0)
})

test('while nothing is written, a caught-up standby has no lag', () => {
  const clock = createReplayClock(0)
  for (const at of [100, 200, 300]) clock.sample(at, 10n)
  clock.replayed(10n)
  expect(clock.lagMs(300)).toBe(0)
})

test('a standby that stands still falls behind, also beyond the kept samples', () => {
  const clock = createReplayClock(0)
  clock.sample(0, 1n)
  clock.replayed(1n)
  for (let at = 1; at <= 5_000; at++) clock.sample(at, BigInt(at + 1))
  clock.replayed(1n)
  expect(clock.lagMs(5_000)).toBe(5_000)
  clock.replayed(2_501n)
  const lag = clock.lagMs(5_000)
  expect(lag).toBeGreaterThanOrEqual(2_500)
  expect(lag).toBeLessThan(2_600)
  clock.replayed(5_001n)
  expect(clock.lagMs(5_000)).toBe(0)
})

test('after a failover to a primary at a lower position, earlier samples do not count', () => {
  const clock = createReplayClock(0)
  clock.sample(100, 50n)
  clock.sample(200, 40n)
  clock.replayed(45n)
  expect(clock.lagMs(200)).toBe(0)
  clock.sample(300, 46n)
  clock.replayed(45n)
  expect(clock.lagMs(300)).toBe(100)
})
