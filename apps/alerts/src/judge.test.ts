/** Hysteresis: only lasting values raise and clear an alert; fluctuation does not. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { judge, type Standing } from './judge.js'

const limits = { above: 60, below: 30, forMs: 30_000 }
const CALM: Standing = { raised: false, turningSince: undefined }

/** Feeds values seen 10 s apart; returns for each whether the alert is raised. */
function run(values: readonly (number | undefined)[], standing = CALM, everyMs = 10_000): boolean[] {
  let now = 0
  let current = standing
  return values.map((value) => {
    current = judge(current, value, limits, now)
    now += everyMs
    return current.raised
  })
}

const raised: Standing = { raised: true, turningSince: undefined }

describe('an alert', () => {
  test('is raised by a value above its threshold for long enough', () => {
    expect(run([61, 70, 99, 61, 61])).toEqual([false, false, false, true, true])
  })

  test('is not raised at its threshold, nor by peaks', () => {
    expect(run([60, 60, 60, 60, 60])).not.toContain(true)
    expect(run([99, 99, 99, 60, 99, 99, 99, 0])).not.toContain(true)
  })

  test('ends after long enough at half of its threshold, and stays raised in between', () => {
    expect(run([30, 0, 30, 30], raised)).toEqual([true, true, true, false])
    expect(run([31, 59, 45, 31, 31, 31], raised)).not.toContain(false)
    expect(run([0, 0, 0, 31, 0, 0, 0], raised)).not.toContain(false)
  })

  test('is not changed by unknown values, and starts over after them', () => {
    expect(run([undefined, undefined, undefined, undefined, undefined])).not.toContain(true)
    expect(run([99, 99, 99, undefined, 99, 99, 99, 99])).toEqual([...Array(7).fill(false), true])
    expect(run([0, 0, 0, undefined, 0, 0, 0], raised)).not.toContain(false)
  })

  test('may be raised and cleared at once, if no duration is required', () => {
    expect(judge(CALM, 61, { ...limits, forMs: 0 }, 5)).toEqual(raised)
    expect(judge(raised, 30, { ...limits, forMs: 0 }, 5)).toEqual(CALM)
  })
})

describe('for any values', () => {
  const value = fc.option(fc.oneof(fc.integer({ min: 0, max: 120 }), fc.constantFrom(30, 31, 60, 61)), {
    nil: undefined,
    freq: 9,
  })
  // Only repeated values change an alert; series of independent values hardly ever do.
  const series = fc
    .array(fc.tuple(value, fc.integer({ min: 1, max: 6 })), { maxLength: 20 })
    .map((stretches) => stretches.flatMap(([seen, times]) => Array<number | undefined>(times).fill(seen)))

  test('it changes only when every value for long enough was beyond the limit', () => {
    fc.assert(
      fc.property(series, (values) => {
        const states = run(values)
        states.forEach((state, i) => {
          if (state === (states[i - 1] ?? false)) return
          const lasting = values.slice(Math.max(0, i - 3), i + 1)
          expect(lasting).toHaveLength(4)
          expect(lasting.every((seen) => seen !== undefined && (state ? seen > 60 : seen <= 30))).toBe(true)
        })
      }),
    )
  })

  test('it is never raised after long enough below, nor cleared after long enough above', () => {
    fc.assert(
      fc.property(series, fc.constantFrom(99, 0), (values, last) => {
        const states = run([...values, ...Array(7).fill(last)])
        expect(states.at(-1)).toBe(last === 99)
      }),
    )
  })
})
