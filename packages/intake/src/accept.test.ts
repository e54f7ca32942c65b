/** How many flushes run at once. */
import { expect, test } from '@jest/globals'
import { allowedFlushes } from './accept.js'

test('a second flush begins beside the first only when there is half a batch for it, and never a third', () => {
  expect([0, 1, 499, 500, 1_000, 1_000_000].map(allowedFlushes)).toEqual([1, 1, 1, 2, 2, 2])
})
