/** How many events become suspects after a number of crashes, and which suspects are processed together. */
import { type AcceptedEvent, type Delivery, firstDelivery } from '@eventflow/core'
import { expect, test } from '@jest/globals'
import { firstSuspects, suspectsAfter } from './suspects.js'

test('one crash makes no suspects; two make 125, and each further crash doubles the number, up to a whole batch', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 60].map(suspectsAfter)).toEqual([0, 0, 125, 250, 500, 1_000, 1_000, 1_000])
})

const delivery = (partition: number, { crashes = 0, payload = '{}' } = {}): Delivery => ({
  ...firstDelivery({ partition } as AcceptedEvent, payload, []),
  crashes,
})
const many = Array.from({ length: 50 }, () => delivery(1))
const blamed = delivery(1, { crashes: 1 })
const large = delivery(1, { payload: ' '.repeat(9 * 1_048_576) })

test.each<[string, Delivery[], number, number]>([
  ['at most thirty-two', many, 125, 32],
  ['at most the number left', many, 3, 3],
  ['all of them if there are fewer', many.slice(0, 2), 125, 2],
  ['only those of one partition', [...many.slice(0, 2), delivery(2)], 125, 2],
  ['none that was blamed before', [...many.slice(0, 2), blamed], 125, 2],
  ['an event that was blamed before, alone', [blamed, ...many], 125, 1],
  ['an event that was blamed before, alone, even if no others are suspects', [blamed, blamed], 0, 1],
  ['at most the data that fits in a batch', [large, large, large], 125, 2],
])('suspects are processed together: %s', (_, deliveries, left, count) => {
  expect(firstSuspects(deliveries, left)).toEqual(deliveries.slice(0, count))
})
