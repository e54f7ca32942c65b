/** How many flushes run concurrently. */
import { expect, test } from '@jest/globals'
import { allowedFlushes } from './accept.js'

test('a second flush runs beside the first only if at least half a batch is queued for it, and there is never a third', () => {
  expect([0, 1, 499, 500, 1_000, 1_000_000].map(allowedFlushes)).toEqual([1, 1, 1, 2, 2, 2])
})
