/** What tenants share: none has all of it, and nothing is lost. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createShares } from './shares.js'

describe('a tenant', () => {
  test('has three quarters alone, and another one has room beside it', () => {
    const shares = createShares(100)
    expect([shares.take('a', 75), shares.take('a', 1)]).toEqual([true, false])
    expect([shares.take('b', 18), shares.take('b', 1)]).toEqual([true, false])
    expect(shares.take('c', 5)).toBe(true)
  })

  test('that is the only one may have more than there is, also bit by bit', () => {
    const shares = createShares(100)
    expect([shares.take('a', 90), shares.take('a', 90, 90), shares.take('a', 1)]).toEqual([true, true, false])
    shares.give('a', 180)
    expect(shares.take('b', 75)).toBe(true)
  })
})

test('however much is taken and given, together they have no more than there is, and always leave some', () => {
  const step = fc.record({
    tenant: fc.constantFrom('a', 'b', 'c'),
    amount: fc.integer({ min: 1, max: 40 }),
    back: fc.nat(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const shares = createShares(100)
      const held: { tenant: string; amount: number }[] = []
      for (const { tenant, amount, back } of steps) {
        if (shares.take(tenant, amount)) held.push({ tenant, amount })
        else if (held.length > 0) {
          const [given] = held.splice(back % held.length, 1)
          shares.give(given!.tenant, given!.amount)
        }
        expect(held.reduce((sum, one) => sum + one.amount, 0)).toBeLessThan(100)
      }
      for (const { tenant, amount } of held) shares.give(tenant, amount)
      expect([shares.take('d', 75), shares.take('d', 1)]).toEqual([true, false])
    }),
  )
})
