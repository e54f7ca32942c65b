/** Which holds a settle writes: lower ones before its events, higher ones and releases after them. */
import { describe, expect, test } from '@jest/globals'
import { deliveryOf } from './delivery.fixture.js'
import { changesOf, createHolds } from './holds.js'

const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000Z`
const micros = (second: number) => BigInt(Date.parse(at(second))) * 1_000n
const of = (seq: number, second: number, tenantId = 'x') =>
  deliveryOf(seq, { tenantId, occurredAt: at(second), acceptedAt: at(59) })
const times = (entries: ReadonlyMap<string, bigint>) => [...entries].map(([tenantId, time]) => [tenantId, time])

describe('what waits', () => {
  test('is held by the earlier of its two times', () => {
    const holds = createHolds()
    holds.wait(deliveryOf(1, { tenantId: 'x', occurredAt: at(9), acceptedAt: at(5) }))
    expect(holds.earliest().get('x')).toBe(micros(5))
    holds.wait(deliveryOf(2, { tenantId: 'x', occurredAt: at(4), acceptedAt: at(9) }))
    expect(holds.earliest().get('x')).toBe(micros(4))
  })

  test('waits until it is settled, even if it is blocked again', () => {
    const holds = createHolds()
    for (const delivery of [of(1, 4), of(2, 8), of(3, 2, 'y'), of(1, 4)]) holds.wait(delivery)
    expect(times(holds.earliest())).toEqual([
      ['x', micros(4)],
      ['y', micros(2)],
    ])
    expect(times(holds.earliest(new Set([1, 3])))).toEqual([['x', micros(8)]])
    holds.settled([1, 3], new Map())
    expect(times(holds.earliest())).toEqual([['x', micros(8)]])
    expect(holds.areIdle()).toBe(false)
    holds.settled([2], new Map())
    expect(holds.areIdle()).toBe(true)
  })

  test('is not what has its place in the log already', () => {
    const holds = createHolds()
    holds.wait({ ...of(1, 4), inLog: true })
    expect(holds.areIdle()).toBe(true)
  })
})

describe('the owner knows all that may wait', () => {
  test('if no hold was left to it, once the retries are loaded', () => {
    const holds = createHolds()
    expect(holds.mayRise).toBe(false)
    holds.knowUpTo(0)
    expect(holds.mayRise).toBe(true)
  })

  test('if there is one, not before it has read up to the last event of that time', () => {
    const holds = createHolds({ open: new Map([['x', micros(4)]]), upTo: 7 })
    for (const seq of [0, 6]) {
      holds.knowUpTo(seq)
      expect(holds.mayRise).toBe(false)
    }
    holds.knowUpTo(7)
    holds.knowUpTo(0)
    expect(holds.mayRise).toBe(true)
  })
})

describe('a hold', () => {
  const x = (time?: bigint) => new Map(time === undefined ? [] : [['x', time]])
  const passing = { passing: new Set(['x']), mayRise: true }
  const change = (time?: bigint) => [{ tenantId: 'x', at: time }]
  const nothing = { lowered: [], raised: [] }

  test.each([
    ['is set where events pass one that waits', x(), x(4n), passing, { lowered: change(4n), raised: [] }],
    ['is lowered for an earlier one', x(5n), x(4n), passing, { lowered: change(4n), raised: [] }],
    ['is not touched if no event of the tenant passes', x(5n), x(4n), { ...passing, passing: new Set('y') }, nothing],
    ['stays while it is right', x(4n), x(4n), passing, nothing],
    ['is raised when the next one is later', x(4n), x(5n), passing, { lowered: [], raised: change(5n) }],
    [
      'is released when none waits',
      x(4n),
      x(),
      { ...passing, passing: new Set('y') },
      { lowered: [], raised: change() },
    ],
    ['is not raised while not all that waits is known', x(4n), x(5n), { ...passing, mayRise: false }, nothing],
    ['is not released then, either', x(4n), x(), { ...passing, mayRise: false }, nothing],
    ['is lowered even then', x(5n), x(4n), { ...passing, mayRise: false }, { lowered: change(4n), raised: [] }],
  ])('%s', (_, open, earliest, given, expected) => {
    expect(changesOf(open, earliest, given)).toEqual(expected)
  })
})
