/** How many events are suspects after so many crashes. */
import { expect, test } from '@jest/globals'
import { suspectsAfter } from './suspects.js'

test('one crash makes no suspects; two make few, and each further one twice as many, up to a whole batch', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 60].map(suspectsAfter)).toEqual([0, 0, 125, 250, 500, 1_000, 1_000, 1_000])
})
