/** Exact arithmetic with decimal numbers. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { addDecimals, compareDecimals, decimalForJson, divideDecimal, readDecimal } from './decimal.js'

test.each<[unknown, string | undefined]>([
  [0, '0'],
  [-0, '0'],
  [12, '12'],
  [0.1, '0.1'],
  [-2.5, '-2.5'],
  [1e21, '1000000000000000000000'],
  [1.5e-7, '0.00000015'],
  [9_007_199_254_740_993n, '9007199254740993'],
  ['9007199254740993', '9007199254740993'],
  ['12.50', '12.5'],
  ['-0.00', '0'],
  ['007', '7'],
  ['0e9999', '0'],
  ['1.25e1', '12.5'],
  ['125E-3', '0.125'],
  ['9'.repeat(400), '9'.repeat(400)],
  [`-${'9'.repeat(400)}`, `-${'9'.repeat(400)}`],
  ['9'.repeat(401), undefined],
  [`-${'9'.repeat(401)}`, undefined],
  ['1e399', `1${'0'.repeat(399)}`],
  ['1e400', undefined],
  ['1e-400', `0.${'0'.repeat(399)}1`],
  ['1e-401', undefined],
  ['1e9999', undefined],
  ['1e99999', undefined],
  ['9'.repeat(100_000), undefined],
  [NaN, undefined],
  [Infinity, undefined],
  ['', undefined],
  [' 1', undefined],
  ['1\n', undefined],
  ['+1', undefined],
  ['.5', undefined],
  ['5.', undefined],
  ['1,5', undefined],
  ['0x10', undefined],
  ['١', undefined],
  [null, undefined],
  [undefined, undefined],
  [true, undefined],
  [[1], undefined],
  [new Date(0), undefined],
])('reads %p', (value, decimal) => {
  expect(readDecimal(value)).toBe(decimal)
})

test('every double is read as the number that it is', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(Number(readDecimal(value))).toBe(value === 0 ? 0 : value)
    }),
  )
})

/** A decimal number as so many units of 10^-20. */
const SCALE = 20n
const unitsOf = (decimal: string) => {
  const [whole, fraction = ''] = decimal.replace('-', '').split('.')
  const units = BigInt(whole! + fraction.padEnd(Number(SCALE), '0'))
  return decimal.startsWith('-') ? -units : units
}
const decimals = fc
  .record({ units: fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), places: fc.integer({ min: 0, max: 20 }) })
  .map(({ units, places }) => readDecimal(`${units}e-${places}`)!)

test('sums and comparisons are exact, and a sum has one form only', () => {
  fc.assert(
    fc.property(decimals, decimals, (a, b) => {
      const sum = addDecimals(a, b)
      expect(unitsOf(sum)).toBe(unitsOf(a) + unitsOf(b))
      expect(readDecimal(sum)).toBe(sum)
      expect(addDecimals(sum, a.startsWith('-') ? a.slice(1) : readDecimal(`-${a}`)!)).toBe(b)
      expect(compareDecimals(a, b)).toBe(Number(unitsOf(a) > unitsOf(b)) - Number(unitsOf(a) < unitsOf(b)))
    }),
  )
})

test.each<[string, number, number, string]>([
  ['1', 3, 5, '0.33333'],
  ['2', 3, 5, '0.66667'],
  ['-2', 3, 5, '-0.66667'],
  ['1', 8, 2, '0.13'],
  ['-1', 8, 2, '-0.13'],
  ['10', 4, 15, '2.5'],
  ['0', 7, 15, '0'],
  ['99', 1, 1, '100'],
  ['123456', 1, 2, '120000'],
  ['0.0003', 3, 5, '0.0001'],
  ['1', 1_000_000_000, 3, '0.000000001'],
  ['9007199254740993', 1, 16, '9007199254740993'],
])('%s / %s to %s digits is %s', (dividend, divisor, digits, quotient) => {
  expect(divideDecimal(dividend, divisor, digits)).toBe(quotient)
})

test('a quotient is the nearest number of so many digits', () => {
  const divisors = fc.integer({ min: 1, max: 1_000_000 })
  fc.assert(
    fc.property(decimals, divisors, fc.integer({ min: 1, max: 30 }), (dividend, divisor, digits) => {
      const quotient = divideDecimal(dividend, divisor, digits)
      const significant = quotient.replace(/[-.]/g, '').replace(/^0+|0+$/g, '')
      expect(significant.length).toBeLessThanOrEqual(digits)
      if (significant === '') return expect(dividend).toBe('0')
      // |quotient · divisor − dividend| ≤ half a unit of the last digit · divisor, in units of 10^-60.
      const exact = (decimal: string) => {
        const [whole, fraction = ''] = decimal.replace('-', '').split('.')
        return BigInt(whole! + fraction.padEnd(60, '0'))
      }
      const difference = exact(quotient) * BigInt(divisor) - exact(dividend)
      const leading = String(exact(quotient)).length
      const unit = 10n ** BigInt(Math.max(0, leading - digits))
      expect(2n * (difference < 0n ? -difference : difference) <= unit * BigInt(divisor)).toBe(true)
      expect(quotient.startsWith('-')).toBe(dividend.startsWith('-'))
    }),
  )
})

test('a decimal is a number in JSON if JavaScript keeps it', () => {
  expect(['0.3', '-12', '9007199254740991', '9007199254740994', '0.1234567890123456789'].map(decimalForJson)).toEqual([
    0.3,
    -12,
    9_007_199_254_740_991,
    '9007199254740994',
    '0.1234567890123456789',
  ])
})
