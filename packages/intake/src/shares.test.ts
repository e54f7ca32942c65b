/** Sharing a bounded resource: no tenant gets all of it, and every amount is accounted for. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createShares } from './shares.js'

describe('a tenant', () => {
  test('alone gets three quarters, and another one still gets a share', () => {
    const shares = createShares(100)
    expect([shares.take('a', 75), shares.take('a', 1)]).toEqual([true, false])
    expect([shares.take('b', 18), shares.take('b', 1)]).toEqual([true, false])
    expect(shares.take('c', 5)).toBe(true)
  })

  test('that is the only one may exceed the total, also in small steps', () => {
    const shares = createShares(100)
    expect([shares.take('a', 90), shares.take('a', 90, 90), shares.take('a', 1)]).toEqual([true, true, false])
    shares.give('a', 180)
    expect(shares.take('b', 75)).toBe(true)
  })
})

test('in any sequence of taking and giving, tenants together never exceed the total and always leave some', () => {
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
