/** The goals judge measured figures, in the right direction. */
import { expect, test } from '@jest/globals'
import { judge } from './goals.js'
import type { Results } from './results.js'

const watched = (unwatched: number, elsewhere: number) =>
  ({ variants: [], watched: { cpuMicroseconds: { unwatched, elsewhere } } }) as unknown as Results

test.each([
  ['less than without', 100, 99, true],
  ['a little more', 100, 102, true],
  ['more than allowed', 100, 104, false],
])('a cost of %s', (_, unwatched, elsewhere, reached) => {
  expect(judge(watched(unwatched, elsewhere))).toMatchObject([{ what: expect.stringContaining('live page'), reached }])
})

test('a share has a lower bound, and what was not measured is not judged', () => {
  const scale = (lastToFirst: number) => judge({ variants: [], scale: { lastToFirst } } as unknown as Results)
  expect(scale(0.97)).toMatchObject([{ goal: 0.97, reached: true }])
  expect(scale(0.96)).toMatchObject([{ goal: 0.97, reached: false }])
  expect(judge({ variants: [] } as unknown as Results)).toEqual([])
})
