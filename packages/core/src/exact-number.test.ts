/** Numbers that JavaScript would change arrive as text; everything else is as JSON.parse gives it. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isExactNumber, parseKeepingDigits } from './exact-number.js'

test.each<[string, unknown]>([
  ['9007199254740993', '9007199254740993'],
  ['{"id":-123456789012345678,"n":1}', { id: '-123456789012345678', n: 1 }],
  ['[1e400,1e-400,0.1,1.50,1e3]', ['1e400', '1e-400', 0.1, 1.5, 1_000]],
  ['[3.14159265358979323846]', ['3.14159265358979323846']],
  ['{"a\\"9007199254740993":"9007199254740993 \\\\"}', { 'a"9007199254740993': '9007199254740993 \\' }],
])('%s', (json, value) => {
  expect(parseKeepingDigits(json)).toEqual(value)
})

/** A power of two is exact when it is written with all its digits. */
const powerOfTwo = (exponent: number, digits: number) => (2 ** exponent).toExponential(digits - 1)

test.each<[string, boolean]>([
  ['9007199254740991', true],
  ['-9007199254740991', true],
  ['9007199254740992', false],
  ['9007199254740992.0', true],
  ['-0', true],
  ['0.000', true],
  ['0e400', true],
  ['1.10', true],
  ['-12.50e-3', true],
  ['1e22', true],
  ['1e400', false],
  ['1e-400', false],
  ['0.1000000000000000055511151231257827', true],
  ['0.1000000000000000055511151231257828', false],
  [`1.5${'0'.repeat(150)}`, true],
  [`0.${'0'.repeat(150)}15`, true],
  [powerOfTwo(-143, 100), true],
  [powerOfTwo(-144, 101), false],
])('whether %s is exact', (number, exact) => {
  expect(isExactNumber(number)).toBe(exact)
})

test('invalid JSON is refused', () => {
  expect(() => parseKeepingDigits('{9007199254740993:1}')).toThrow(SyntaxError)
})

describe('any value', () => {
  test('that JavaScript has serialised is read unchanged', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const written = JSON.stringify(JSON.parse(json))
        // JavaScript prints integers beyond 2^53 with digits that the value did not have.
        fc.pre(!/\d{16}/.test(written))
        expect(parseKeepingDigits(written)).toEqual(JSON.parse(written))
      }),
    )
  })

  test('integers of any size keep their digits', () => {
    fc.assert(
      fc.property(fc.bigInt(), (n) => {
        expect(String(parseKeepingDigits(`{"n":[${n}]}`.slice(5, -1)))).toBe(String(n))
      }),
    )
  })
})
