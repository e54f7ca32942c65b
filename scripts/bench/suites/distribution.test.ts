/** Evenly spread keys pass, others do not. */
import { partitionOf } from '@eventflow/core'
import { expect, test } from '@jest/globals'
import { distributionOf } from './distribution.js'

const PARTITIONS = 16
const USERS = 10_000

/** Events of random users, by partition. */
function draw(partitionOfUser: (user: number) => number): number[] {
  const events = new Array<number>(PARTITIONS).fill(0)
  for (let n = 0; n < 200_000; n++) events[partitionOfUser(Math.floor(Math.random() * USERS))]!++
  return events
}

test('the partitions of the product are even', () => {
  const distribution = distributionOf(
    draw((user) => partitionOf('default', `u-${user}`, PARTITIONS)),
    USERS,
  )
  expect(distribution.even).toBe(true)
  expect(distribution.largestDeviation).toBeLessThan(0.25)
})

test('a hash that favours a partition a little is detected', () => {
  const { even } = distributionOf(
    draw((user) => (user % 50 === 0 ? 0 : user % PARTITIONS)),
    USERS,
  )
  expect(even).toBe(false)
})
