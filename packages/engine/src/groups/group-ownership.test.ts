/** Which partitions a worker reads for a group. */
import type { GroupOwnership, SeenLease } from '@eventflow/db'
import { expect, test } from '@jest/globals'
import { sharesOf } from './group-ownership.js'

const group = { groupId: 1, name: 'invoicing', version: 2 }

/** Four partitions, of which these are held by us under epoch 1, and these by others. */
function ownership(mine: readonly number[], others: readonly number[], dedicated: GroupOwnership['dedicated'] = []) {
  const leases = [0, 1, 2, 3].map((partition): SeenLease => {
    const held = mine.includes(partition) ? 1 : null
    return { partition, held, free: held === null && !others.includes(partition) }
  })
  return { groups: new Map([[1, { version: 2, leases }]]), dedicated }
}

const leasesOf = (partitions: readonly number[]) => partitions.map((partition) => ({ groupId: 1, partition, epoch: 1 }))

test('a worker of the pipeline reads the partitions that it owns, once their former reader has let them go', () => {
  const shares = sharesOf(ownership([3], [1]), group, 'a', leasesOf([3]), [0, 1])
  expect(shares).toEqual({ take: [0], giveBack: leasesOf([3]) })
})

test('it leaves a group to the workers that read only some groups', () => {
  const dedicated = [{ worker: 'b', groups: ['invoicing'] }]
  expect(sharesOf(ownership([0], [], dedicated), group, 'a', leasesOf([0]), [0, 1])).toEqual({
    take: [],
    giveBack: leasesOf([0]),
  })
  const others = [{ worker: 'b', groups: ['mailing'] }]
  expect(sharesOf(ownership([0], [], others), group, 'a', leasesOf([0]), [0, 1]).take).toEqual([1])
})

test('those share the partitions of a group evenly', () => {
  const dedicated = ['b', 'c'].map((worker) => ({ worker, groups: ['invoicing'] }))
  expect(sharesOf(ownership([], [], dedicated), group, 'b', [], undefined)).toEqual({ take: [0, 1], giveBack: [] })
  const all = leasesOf([0, 1, 2, 3])
  const { giveBack } = sharesOf(ownership([0, 1, 2, 3], [], dedicated), group, 'b', all, undefined)
  expect(giveBack).toEqual(leasesOf([2, 3]))
})

test('a lease whose epoch has ended is dropped, and one from before a restart is taken again', () => {
  const shares = sharesOf(ownership([0, 1], []), group, 'a', [{ groupId: 1, partition: 0, epoch: 7 }], [0, 1])
  expect(shares).toEqual({ take: [0, 1], giveBack: [{ groupId: 1, partition: 0, epoch: 7 }] })
})

test('nothing is read of a group that was deleted, or that has a newer version', () => {
  const leases = leasesOf([0])
  const none = { take: [], giveBack: leases }
  expect(sharesOf({ groups: new Map(), dedicated: [] }, group, 'a', leases, [0, 1])).toEqual(none)
  expect(sharesOf(ownership([0], []), { ...group, version: 1 }, 'a', leases, [0, 1])).toEqual(none)
})
