/** Problems are shortened to a limited size. */
import { describe, expect, test } from '@jest/globals'
import { cut, inBrief } from './brief.js'

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

describe('a text', () => {
  test.each([
    ['short', 'short', 'short'],
    ['of exactly the limit', 'x'.repeat(20), 'x'.repeat(20)],
    ['of one byte more', 'x'.repeat(21), `${'x'.repeat(17)}…`],
  ])('that is %s', (_, text, expected) => {
    expect(cut(text, 20)).toBe(expected)
  })

  test.each(['\u0001', '"', 'é', '漢', '😉', '\ud83d', '~1'])('of many %j is cut to the limit as well', (character) => {
    for (const count of [1, 10, 100, 100_000]) {
      const short = cut(character.repeat(count), 50)
      expect(bytesOf(short)).toBeLessThanOrEqual(52)
      if (count > 50) expect(short).toMatch(/.…$/)
    }
  })
})

test('problems have short names, and only as many are listed as fit', () => {
  const long = (name: string) => ({ pointer: `/data/${name.repeat(9_000)}/x`, message: 'must be a text' })
  expect(inBrief([long('~0')])).toEqual([{ pointer: `/data/${'~0'.repeat(30)}…/x`, message: 'must be a text' }])
  const short = { pointer: '/type', message: 'is missing' }
  expect(inBrief(Array(30).fill(short))).toEqual(Array(10).fill(short))
  for (const name of ['x', '~1', '\u0001', '😉', '/x']) {
    const brief = inBrief(Array(30).fill({ ...long(name), message: name.repeat(9_000) }))
    expect(brief.length).toBeGreaterThan(0)
    expect(bytesOf(brief)).toBeLessThan(1_400)
  }
})
