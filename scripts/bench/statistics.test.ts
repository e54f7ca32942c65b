/** Medians and percentiles. */
import { describe, expect, test } from '@jest/globals'
import { Latencies, spreadOf } from './statistics.js'

describe('a spread', () => {
  test('of an odd count has its median in the middle, in any order', () => {
    expect(spreadOf([30, 10, 20])).toEqual({ median: 20, min: 10, max: 30 })
  })

  test('of an even count has the mean of the two in the middle', () => {
    expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 })
  })

  test('of nothing is an error', () => {
    expect(() => spreadOf([])).toThrow(RangeError)
  })
})

describe('latencies', () => {
  test('are right to three figures', () => {
    const latencies = new Latencies()
    for (let ms = 1; ms <= 10_000; ms++) latencies.record(ms)
    const { p50, p95, p99, p999, max } = latencies.percentiles()
    for (const [figure, exact] of [
      [p50, 5_000],
      [p95, 9_500],
      [p99, 9_900],
      [p999, 9_990],
      [max, 10_000],
    ] as const) {
      expect(Math.abs(figure - exact) / exact).toBeLessThan(0.001)
    }
  })

  test('of less than a microsecond and of more than a minute are kept at the ends', () => {
    const latencies = new Latencies()
    latencies.record(0)
    latencies.record(3_600_000)
    const { p50, max } = latencies.percentiles()
    expect(p50).toBe(0.001)
    expect(max / 60_000).toBeCloseTo(1, 2)
  })

  test('without records are zero', () => {
    expect(new Latencies().percentiles()).toEqual({ p50: 0, p95: 0, p99: 0, p999: 0, max: 0 })
  })
})
