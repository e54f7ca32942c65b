/** The rate of an operation is a limit, and is reached if nothing delays it. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { chunkSize, nextChunkAt } from './pace.js'

/** Carries out an operation without waiting. Returns when each chunk began, and what it changed. */
function carryOut(rate: number, durations: readonly number[]) {
  const chunks: { at: number; events: number }[] = []
  let now = 0
  let dueAt = 0
  for (const duration of durations) {
    now = Math.max(now, dueAt)
    const events = chunkSize(rate)
    chunks.push({ at: now, events })
    dueAt = nextChunkAt(dueAt, now, events, rate)
    now += duration
  }
  return chunks
}

const rates = fc.integer({ min: 1, max: 10_000 })

test('a chunk has the events of a quarter of a second, at least one and at most 500', () => {
  expect([1, 4, 5, 100, 1_000, 2_000, 10_000].map(chunkSize)).toEqual([1, 1, 2, 25, 250, 500, 500])
})

test('however long chunks take, no period has more changes than the rate allows plus one chunk', () => {
  fc.assert(
    fc.property(rates, fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 2, maxLength: 50 }), (rate, times) => {
      const chunks = carryOut(rate, times)
      for (const [i, first] of chunks.entries()) {
        let events = 0
        for (const chunk of chunks.slice(i)) {
          events += chunk.events
          expect(events).toBeLessThanOrEqual((rate * (chunk.at - first.at)) / 1_000 + chunkSize(rate) + 1e-6)
        }
      }
    }),
  )
})

test('if chunks take less than their time, the rate is reached exactly', () => {
  fc.assert(
    fc.property(rates, fc.integer({ min: 2, max: 100 }), (rate, count) => {
      const chunks = carryOut(rate, new Array(count).fill(10))
      const elapsedMs = chunks.at(-1)!.at
      expect(((count - 1) * chunkSize(rate)) / (elapsedMs / 1_000)).toBeCloseTo(rate, 3)
    }),
  )
})

test('lost time is not made up for, and windows without matches take no time', () => {
  expect(nextChunkAt(1_000, 9_000, 25, 100)).toBe(9_250)
  expect(nextChunkAt(1_000, 1_000, 0, 100)).toBe(1_000)
})
