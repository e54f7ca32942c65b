/** Rates and latencies from the counters of processes. */
import type { ToldFigures } from '@eventflow/db'
import { describe, expect, test } from '@jest/globals'
import { quantile, ratesBetween } from './rates.js'

const worker = (process: string, run: string, processed: number, counts = [0, 0, 0]): ToldFigures => ({
  process,
  service: 'worker',
  run,
  counts: { processed, failed: processed / 10 },
  latency: { bounds: [0.1, 1], counts },
  lastAt: 0,
  circuits: {},
  ageSeconds: 0,
})

describe('rates', () => {
  test('are the sums of the differences of all processes, per second', () => {
    const before = [worker('a', '1', 100), worker('b', '1', 1_000)]
    const now = [worker('a', '1', 120), worker('b', '1', 1_010)]
    const { rates, workers } = ratesBetween(before, now, 2)
    expect(rates).toMatchObject({ in: 0, out: 15, failed: 1.5 })
    expect(workers).toEqual([
      { process: 'a', processed: 10, failed: 1 },
      { process: 'b', processed: 5, failed: 0.5 },
    ])
  })

  test('do not jump when a process is new, was restarted or is gone', () => {
    expect(ratesBetween([], [worker('a', '1', 5_000)], 1).rates.out).toBe(0)
    expect(ratesBetween([worker('a', '1', 5_000)], [worker('a', '2', 20)], 1).rates.out).toBe(0)
    expect(ratesBetween([worker('a', '1', 5_000)], [], 1).rates).toMatchObject({ out: 0, p50: null })
  })

  test('include the latencies of all workers together', () => {
    const before = [worker('a', '1', 0, [10, 0, 0]), worker('b', '1', 0)]
    const now = [worker('a', '1', 0, [11, 0, 0]), worker('b', '1', 0, [0, 1, 0])]
    const { p50, p99, answered95 } = ratesBetween(before, now, 1).rates
    expect([p50, answered95]).toEqual([0.1, null])
    expect(p99).toBeCloseTo(0.982)
  })
})

describe('a quantile', () => {
  test.each([
    [0.5, [0, 0, 0], null],
    [0.5, [4, 0, 0], 0.05],
    [1, [4, 0, 0], 0.1],
    [0.5, [0, 4, 0], 0.55],
    [0.99, [0, 0, 3], 1],
  ])('%p of %p is %p', (q, counts, expected) => {
    const value = quantile(q, { bounds: [0.1, 1], counts })
    if (expected === null) expect(value).toBeNull()
    else expect(value).toBeCloseTo(expected)
  })
})
