/** Any value is described in a few words, and inspecting it never throws. */
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from '@jest/globals'
import { describeValue, isError, isPromiseLike, propertyOf, toError } from './describe-value.js'

// As a literal property name, the linter would report it.
const THEN = 'then'

class Account {}
const throwing = Object.defineProperty({}, 'then', {
  get: () => {
    throw new Error('not yours')
  },
})
const closed = new Proxy(
  {},
  {
    get: () => {
      throw new Error('closed')
    },
    getPrototypeOf: () => {
      throw new Error('closed')
    },
  },
)

test.each<[unknown, string]>([
  [null, 'null'],
  [undefined, 'undefined'],
  [true, 'true'],
  [5, 'the number 5'],
  [5n, 'the BigInt 5'],
  ['a "b"', 'the text "a \\"b\\""'],
  ['x'.repeat(60), `the text "${'x'.repeat(60)}"`],
  ['x'.repeat(61), `the text "${'x'.repeat(60)}…"`],
  [`${'x'.repeat(59)}😉`, `the text "${'x'.repeat(59)}\ufffd…"`],
  [Symbol('s'), 'a symbol'],
  [() => {}, 'a function'],
  [closed, 'a proxy'],
  [Promise.resolve(), 'a promise'],
  [throwing, 'an empty object'],
  [new RangeError('far'), 'an error: far'],
  [[], 'an empty array'],
  [[1, 2], 'an array of 2'],
  [new Map(), 'a Map'],
  [new Account(), 'an Account'],
  [{}, 'an empty object'],
  [Object.create(null), 'an empty object'],
  [Object.create({ constructor: { name: '' } }), 'an empty object'],
  [Object.create({ constructor: { name: 5 } }), 'an empty object'],
  [{ a: 1, b: 2, c: 3, d: 4, e: 5 }, 'an object with a, b, c, d, e'],
  [{ a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 }, 'an object with a, b, c, d, e, …'],
])('%#: %s', (value, words) => {
  expect(describeValue(value)).toBe(words)
})

test('an error is recognized from any realm and any class', () => {
  const foreign = runInNewContext('new Error("far")')
  expect([foreign, new RangeError(), Object.create(Error.prototype)].map(isError)).toEqual([true, true, true])
  expect([closed, { message: 'm' }, 'text', null].map(isError)).toEqual([false, false, false, false])
  expect(toError(foreign)).toBe(foreign)
  expect(toError('text').message).toBe('text')
  expect(toError(5).message).toBe('the number 5 was thrown, which is no error')
})

test('propertyOf gives the property, or undefined', () => {
  expect([propertyOf({ a: 1 }, 'a'), propertyOf('text', 'length')]).toEqual([1, 4])
  expect([propertyOf(null, 'a'), propertyOf(undefined, 'a'), propertyOf(closed, 'a')]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
})

describe('a promise-like value', () => {
  test.each<[string, unknown, boolean]>([
    ['a promise', Promise.resolve(), true],
    ['an object with then', { [THEN]: () => {} }, true],
    ['a function with then', Object.assign(() => {}, { [THEN]: () => {} }), true],
    ['a then that is no function', { [THEN]: 1 }, false],
    ['a then that throws', throwing, false],
    ['a function', () => {}, false],
    ['a text', 'then', false],
    ['null', null, false],
  ])('%s', (_, value, waits) => {
    expect(isPromiseLike(value)).toBe(waits)
  })
})
