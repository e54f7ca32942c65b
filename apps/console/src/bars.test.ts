/** Results of windows as the bars of a chart. */
import { expect, test } from '@jest/globals'
import { barsOf, numericAggregates } from './bars.js'

const at = (minute: number) => new Date(Date.UTC(2026, 0, 31, 10, minute)).toISOString()
const result = (from: number, to: number, total: unknown) => ({
  ...{ key: 'a', partition: 0, start: at(from), end: at(to), closed_at: at(to), result: { users: ['u'], total } },
})
const shown = (given: Parameters<typeof barsOf>[0]) =>
  barsOf(given, 'total')?.bars.map(({ x, y, width, height }) => [x, y, width, height].map(Math.round))

test('a bar is as wide as its window, and begins where it does', () => {
  const results = [result(30, 40, 5), result(0, 10, 10), result(10, 20, 0)]
  expect(shown(results)).toEqual([
    [0, 0, 25, 100],
    [25, 100, 25, 0],
    [75, 50, 25, 50],
  ])
  expect(barsOf(results, 'total')).toMatchObject({ low: 0, high: 10, from: Date.parse(at(0)), to: Date.parse(at(40)) })
})

test('windows that overlap are cut where the next one begins; short ones are still seen', () => {
  expect(shown([result(0, 10, 1), result(5, 15, 1)])!.map(([x, , width]) => [x, width])).toEqual([
    [0, 33],
    [33, 67],
  ])
  const short = barsOf([result(0, 0, 1), result(0, 1_000, 1), result(1_000, 1_000, 1)], 'total')!.bars
  expect(short.map(({ x, width }) => x + width <= 100 && width > 0)).toEqual([true, true, true])
})

test('negative values are below the line', () => {
  expect(shown([result(0, 10, -5), result(10, 20, 15)])).toEqual([
    [0, 75, 50, 25],
    [50, 0, 50, 75],
  ])
})

test('exact numbers that are texts are numbers, and nothing else is', () => {
  expect(shown([result(0, 10, '9007199254740993')])).toEqual([[0, 0, 100, 100]])
  expect([null, 'high', [], true, '', '1e9999'].map((value) => barsOf([result(0, 10, value)], 'total'))).toEqual(
    Array.from({ length: 6 }),
  )
  expect(barsOf([], 'total')).toBeUndefined()
  expect(numericAggregates([result(0, 10, null), result(10, 20, 1)])).toEqual(['total'])
})
