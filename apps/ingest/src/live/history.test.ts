/** The history of the last hour in memory. */
import { expect, test } from '@jest/globals'
import { createHistory } from './history.js'

const START = 1_700_000_000_000

test('keeps five minutes in steps of a second and an hour in steps of ten, and no more', () => {
  const history = createHistory()
  for (let second = 0; second < 5_000; second++) {
    history.add({ at: START + second * 1_000, values: [second, second % 2 === 0 ? 10 : null, null] })
  }
  const points = history.points()
  expect(points.at(-1)).toEqual({ at: START + 4_999_000, values: [4_999, null, null] })
  expect(points.at(-300)!.at).toBe(START + 4_700_000)
  // Ten seconds become one point with the mean of the measured values.
  expect(points.at(-302)).toEqual({ at: START + 4_680_000, values: [4_684.5, 10, null] })
  expect(points.length).toBe(360 + 300 + 1)
  expect(points.map(({ at }) => at)).toEqual(points.map(({ at }) => at).sort())
})
