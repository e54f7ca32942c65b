/** Values that cannot be stored exactly are found, with their place. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { findUnstorable, MAX_DEPTH } from './storable.js'

describe('found, with a pointer to it, is', () => {
  test.each<[string, unknown, string]>([
    ['NUL in a text', { a: ['x', 'y\0z'] }, '/a/1'],
    ['NUL in a name', { a: { 'b\0': 1 } }, '/a/b\0'],
    ['the first half of a surrogate pair', { a: 'x\ud83d' }, '/a'],
    ['the second half of a surrogate pair', ['\ude00x'], '/0'],
    ['half of a surrogate pair in a name', { '\ud83d': null }, '/\ufffd'],
    ['an integer above 2^53', { n: JSON.parse('9007199254740992') }, '/n'],
    ['an integer below -2^53', [[JSON.parse('-9007199254740993')]], '/0/0'],
    ['a number beyond the range of a double', { n: JSON.parse('1e999') }, '/n'],
    ['something under a name with / and ~', { 'a/b': { '~c~1': '\0' } }, '/a~1b/~0c~01'],
    ['the whole value', '\0', ''],
    ['the first of two', { a: '\0', b: '\0' }, '/a'],
  ])('%s', (_, value, pointer) => {
    expect(findUnstorable(value)?.pointer).toBe(pointer)
  })
})

test('values at the limits are storable', () => {
  const value = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0.1, 5e-324, '😀', '', null, true, {}, []]
  expect(findUnstorable({ value })).toBeUndefined()
})

const nested = (levels: number): unknown =>
  levels === 0 ? 1 : levels % 2 === 0 ? { a: nested(levels - 1) } : [nested(levels - 1)]

test('arrays and objects may be nested up to the limit, and no deeper', () => {
  expect(MAX_DEPTH).toBe(32)
  expect(findUnstorable(nested(32))).toBeUndefined()
  expect(findUnstorable(nested(33))).toEqual({
    pointer: '/0/a'.repeat(16),
    message: 'nested deeper than 32 levels',
  })
})

test('nesting that would overflow the stack is found like any other', () => {
  let deep: unknown = 1
  for (let level = 0; level < 100_000; level++) deep = [deep]
  expect(findUnstorable(deep)?.message).toMatch(/deeper/)
})

test('any value that survives JSON unchanged is storable, and one bad text anywhere makes it unstorable', () => {
  const good = fc
    .jsonValue({ maxDepth: 5, noUnicodeString: false })
    .filter((value) => !/\\u0000|\\ud[89a-f]/.test(JSON.stringify(value)))
  fc.assert(
    fc.property(good, (value) => {
      fc.pre(!hasUnsafeInteger(value))
      expect(findUnstorable(value)).toBeUndefined()
      expect(findUnstorable({ a: [value, { b: '\0' }] })?.pointer).toBe('/a/1/b')
    }),
  )
})

function hasUnsafeInteger(value: unknown): boolean {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(hasUnsafeInteger)
}
