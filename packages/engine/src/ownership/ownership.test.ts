/** Fair shares: however workers come and go, the partitions end up with the living, evenly. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { planOwnership } from './ownership.js'

/** The partitions' owners, as every worker sees them; a partition is free when nobody alive owns it. */
type Table = (string | null)[]

const ownershipOf = (owners: Table, workers: string[]) => ({
  workers: [...workers].sort(),
  partitions: owners.map((owner, id) => ({ id, owner, free: owner === null || !workers.includes(owner) })),
})

const heldBy = (owners: Table, worker: string) => owners.flatMap((owner, id) => (owner === worker ? [id] : []))

/** One look of one worker. Gives how many partitions changed hands. */
function look(owners: Table, workers: string[], me: string): number {
  const held = heldBy(owners, me)
  const ownership = ownershipOf(owners, workers)
  const { take, giveBack } = planOwnership(ownership, me, held)
  expect(take.every((id) => ownership.partitions[id]!.free && !held.includes(id))).toBe(true)
  expect(giveBack.every((id) => held.includes(id))).toBe(true)
  expect(new Set([...take, ...giveBack]).size).toBe(take.length + giveBack.length)
  for (const id of take) owners[id] = me
  for (const id of giveBack) owners[id] = null
  return take.length + giveBack.length
}

describe('a worker', () => {
  const workers = ['a', 'b', 'c']

  test('takes its share of what is free, and no more', () => {
    const { take, giveBack } = planOwnership(ownershipOf(new Array(16).fill(null), workers), 'a', [])
    expect([take, giveBack]).toEqual([[0, 1, 2, 3, 4, 5], []])
  })

  test('takes only what it is short of', () => {
    const owners: Table = ['a', 'a', 'a', 'a', 'b', 'b', null, null, null]
    expect(planOwnership(ownershipOf(owners, workers), 'b', [4, 5])).toEqual({ take: [6], giveBack: [] })
  })

  test('gives back what is beyond its share, and takes nothing then', () => {
    const owners: Table = ['a', 'a', 'a', 'a', null, null]
    expect(planOwnership(ownershipOf(owners, workers), 'a', [0, 1, 2, 3])).toEqual({ take: [], giveBack: [2, 3] })
  })

  test('does not take again what it holds, though the lease has run out', () => {
    const ownership = { workers: ['a'], partitions: [{ id: 0, owner: 'a', free: true }] }
    expect(planOwnership(ownership, 'a', [0])).toEqual({ take: [], giveBack: [] })
  })

  test('whose heartbeat is not seen does nothing', () => {
    expect(planOwnership(ownershipOf([null], workers), 'd', [])).toEqual({ take: [], giveBack: [] })
    expect(planOwnership(ownershipOf(['d'], []), 'd', [0])).toEqual({ take: [], giveBack: [] })
  })
})

test('for any workers that come, go and look in any order, two rounds of looks lead to fair shares, which then stay', () => {
  const crew = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { minLength: 1 })
  const stage = fc.record({ workers: crew, looks: fc.array(fc.nat(), { maxLength: 20 }) })
  const stages = fc.array(stage, { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), stages, (partitions, course) => {
      const owners: Table = new Array(partitions).fill(null)
      for (const { workers, looks } of course) {
        for (const index of looks) look(owners, workers, workers[index % workers.length]!)
      }
      const { workers } = course.at(-1)!
      for (let round = 0; round < 2; round++) for (const worker of workers) look(owners, workers, worker)

      const shares = workers.map((worker) => heldBy(owners, worker).length)
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(partitions)
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
      expect(workers.map((worker) => look(owners, workers, worker))).toEqual(workers.map(() => 0))
    }),
  )
})
