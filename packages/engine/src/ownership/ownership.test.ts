/** Fair shares: workers may come and go in any order, and the living ones end up with equal shares of the partitions. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { planOwnership } from './ownership.js'

/** The owner of each partition, as every worker sees it. A partition is free if it has no living owner. */
type Table = (string | null)[]

const ownershipOf = (owners: Table, workers: string[]) => ({
  workers: [...workers].sort(),
  partitions: owners.map((owner, id) => ({ id, owner, free: owner === null || !workers.includes(owner) })),
})

const ownedBy = (owners: Table, worker: string) => owners.flatMap((owner, id) => (owner === worker ? [id] : []))

/** Applies the plan of one worker. Returns how many partitions changed owner. */
function rebalance(owners: Table, workers: string[], me: string): number {
  const owned = ownedBy(owners, me)
  const ownership = ownershipOf(owners, workers)
  const { take, giveBack } = planOwnership(ownership, me, owned)
  expect(take.every((id) => ownership.partitions[id]!.free && !owned.includes(id))).toBe(true)
  expect(giveBack.every((id) => owned.includes(id))).toBe(true)
  expect(new Set([...take, ...giveBack]).size).toBe(take.length + giveBack.length)
  for (const id of take) owners[id] = me
  for (const id of giveBack) owners[id] = null
  return take.length + giveBack.length
}

describe('a worker', () => {
  const workers = ['a', 'b', 'c']

  test('takes its share of the free partitions and no more', () => {
    const { take, giveBack } = planOwnership(ownershipOf(new Array(16).fill(null), workers), 'a', [])
    expect([take, giveBack]).toEqual([[0, 1, 2, 3, 4, 5], []])
  })

  test('takes only as many partitions as it lacks', () => {
    const owners: Table = ['a', 'a', 'a', 'a', 'b', 'b', null, null, null]
    expect(planOwnership(ownershipOf(owners, workers), 'b', [4, 5])).toEqual({ take: [6], giveBack: [] })
  })

  test('gives back the partitions above its share and takes none', () => {
    const owners: Table = ['a', 'a', 'a', 'a', null, null]
    expect(planOwnership(ownershipOf(owners, workers), 'a', [0, 1, 2, 3])).toEqual({ take: [], giveBack: [2, 3] })
  })

  test('does not take its own partition again, even if the lease has expired', () => {
    const ownership = { workers: ['a'], partitions: [{ id: 0, owner: 'a', free: true }] }
    expect(planOwnership(ownership, 'a', [0])).toEqual({ take: [], giveBack: [] })
  })

  test('without a heartbeat does nothing', () => {
    expect(planOwnership(ownershipOf([null], workers), 'd', [])).toEqual({ take: [], giveBack: [] })
    expect(planOwnership(ownershipOf(['d'], []), 'd', [0])).toEqual({ take: [], giveBack: [] })
  })
})

test('if workers come, go and rebalance in any order, two rounds of rebalancing lead to fair shares, which then stay', () => {
  const crew = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { minLength: 1 })
  const stage = fc.record({ workers: crew, turns: fc.array(fc.nat(), { maxLength: 20 }) })
  const stages = fc.array(stage, { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), stages, (partitions, course) => {
      const owners: Table = new Array(partitions).fill(null)
      for (const { workers, turns } of course) {
        for (const index of turns) rebalance(owners, workers, workers[index % workers.length]!)
      }
      const { workers } = course.at(-1)!
      for (let round = 0; round < 2; round++) for (const worker of workers) rebalance(owners, workers, worker)

      const shares = workers.map((worker) => ownedBy(owners, worker).length)
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(partitions)
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
      expect(workers.map((worker) => rebalance(owners, workers, worker))).toEqual(workers.map(() => 0))
    }),
  )
})
