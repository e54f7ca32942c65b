/** The limit on log lines of one kind: the first lines of a second are written, and every line left out is counted. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createLineLimit } from './line-limit.js'

test('the first lines of a second are written, and the next line after it has the count of those left out', () => {
  const { admit } = createLineLimit()
  expect([0, 1, 2, 3, 999].map((now) => admit('a', 2, now))).toEqual([0, 0, undefined, undefined, undefined])
  expect([1_000, 1_001].map((now) => admit('a', 2, now))).toEqual([3, 0])
})

test('each kind of line is counted separately', () => {
  const { admit } = createLineLimit()
  expect([admit('a', 1, 0), admit('b', 1, 0), admit('a', 1, 0), admit('b', 1, 0)]).toEqual([0, 0, undefined, undefined])
})

test('lines left out before a silence are reported once, after their second', () => {
  const { admit, takeLeftOut } = createLineLimit()
  for (let line = 0; line < 10; line++) admit('a', 1, 0)
  expect(takeLeftOut(500)).toEqual([])
  expect(takeLeftOut(1_000)).toEqual([{ kind: 'a', leftOut: 9 }])
  expect(takeLeftOut(1_000)).toEqual([])
  expect(admit('a', 1, 1_000)).toBe(0)
})

test('every line is written or counted, whenever it comes', () => {
  const lines = fc.array(fc.record({ kind: fc.constantFrom('a', 'b'), after: fc.nat(700) }), { maxLength: 100 })
  fc.assert(
    fc.property(lines, fc.integer({ min: 1, max: 3 }), (sent, perSecond) => {
      const { admit, takeLeftOut } = createLineLimit()
      let now = 0
      let told = 0
      for (const { kind, after } of sent) {
        now += after
        const leftOut = admit(kind, perSecond, now)
        if (leftOut !== undefined) told += 1 + leftOut
      }
      for (const { leftOut } of takeLeftOut(now + 1_000)) told += leftOut
      expect(told).toBe(sent.length)
    }),
  )
})
