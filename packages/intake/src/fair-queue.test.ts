/** Tenants take turns, no matter how many items one of them has queued. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createFairQueue } from './fair-queue.js'

const TENANTS = ['a', 'b', 'c'] as const

interface Item<Tenant> {
  tenant: Tenant
  n: number
  size: number
}

const newQueue = <Tenant extends string>() => createFairQueue<Item<Tenant>>(({ size }) => size)

test('an item of one tenant waits for at most one batch of another tenant', () => {
  const queue = newQueue()
  for (let n = 0; n < 20; n++) queue.add('worst', { tenant: 'worst', n, size: 600 })
  queue.add('quiet', { tenant: 'quiet', n: 0, size: 1 })
  expect(queue.size()).toBe(12_001)
  expect(queue.take(1_000).map(({ tenant }) => tenant)).toEqual(['worst', 'quiet'])
  queue.add('quiet', { tenant: 'quiet', n: 1, size: 1 })
  expect(queue.take(1_000).map(({ tenant, n }) => `${tenant} ${n}`)).toEqual(['worst 1', 'quiet 1'])
})

test('an item larger than the maximum is taken alone; an empty queue gives nothing', () => {
  const queue = newQueue()
  for (const n of [0, 1]) queue.add('a', { tenant: 'a', n, size: 5_000 })
  expect(queue.take(1_000)).toHaveLength(1)
  expect(queue.take(1_000)).toHaveLength(1)
  expect(queue.take(1_000)).toEqual([])
  expect(queue.size()).toBe(0)
})

test('every item is taken once, in order within its tenant, and never more at once than the maximum', () => {
  const item = fc.record({ tenant: fc.constantFrom(...TENANTS), size: fc.integer({ min: 1, max: 5 }) })
  fc.assert(
    fc.property(fc.array(fc.array(item)), fc.integer({ min: 1, max: 12 }), (rounds, max) => {
      const queue = newQueue<(typeof TENANTS)[number]>()
      const given = { a: [] as number[], b: [] as number[], c: [] as number[] }
      const taken = { a: [] as number[], b: [] as number[], c: [] as number[] }
      let n = 0
      const takeSome = () => {
        const some = queue.take(max)
        if (some.length > 1) expect(some.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(max)
        for (const { tenant, n } of some) taken[tenant].push(n)
        return some.length
      }
      for (const round of rounds) {
        for (const { tenant, size } of round) {
          given[tenant].push(n)
          queue.add(tenant, { tenant, n: n++, size })
        }
        takeSome()
      }
      while (takeSome() > 0);
      expect(taken).toEqual(given)
    }),
  )
})
