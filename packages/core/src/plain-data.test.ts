/** Values from users' code become plain, frozen values, or an error that names the unsuitable value. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { freezeParsed, NotPlainError, plainData, shareParsed } from './plain-data.js'
import { findUnstorable, MAX_DEPTH } from './storable.js'

const isFrozenThroughout = (value: unknown): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (Object.isFrozen(value) && Object.values(value).every(isFrozenThroughout))

const deep = (levels: number): object => (levels === 0 ? {} : { in: deep(levels - 1) })

describe('a JSON value', () => {
  test('is copied, and everything in it is frozen', () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 5 })
    fc.assert(
      fc.property(object, (value) => {
        const written = JSON.stringify(value)
        fc.pre(!written.includes('__proto__') && findUnstorable(JSON.parse(written)) === undefined)
        const plain = plainData(value)
        expect(JSON.stringify(plain)).toBe(written)
        expect(Object.values(plain).every(isFrozenThroughout)).toBe(true)
        expect(Object.isFrozen(value)).toBe(false)
        expect(isFrozenThroughout(freezeParsed(JSON.parse(written)))).toBe(true)
      }),
    )
  })

  test('is replaced by the result of its toJSON', () => {
    expect(plainData({ at: new Date(0), of: [{ toJSON: () => ({ n: 1 }) }] })).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      of: [{ n: 1 }],
    })
  })

  test('loses undefined members, except those of the object itself', () => {
    expect(Object.entries(plainData({ a: undefined, b: { c: undefined } }))).toEqual([
      ['a', undefined],
      ['b', {}],
    ])
  })

  test('is not copied again when many objects share it', () => {
    const row = shareParsed({ name: 'Atlanta' })
    expect(plainData({ row, deeper: [row] })).toEqual({ row, deeper: [row] })
    expect(plainData({ row }).row).toBe(row)
    expect(plainData({ deeper: { row } }).deeper).toHaveProperty('row', row)
    expect((plainData({ deeper: [row] }).deeper as unknown[])[0]).toBe(row)
  })
})

describe('at the maximum depth and size', () => {
  const levelsOf = (levels: number) => deep(levels - 1)
  const holding = (values: number) => ({ a: Array.from({ length: values - 1 }, () => 0) })

  test('a value is accepted', () => {
    expect(plainData(levelsOf(MAX_DEPTH))).toEqual(levelsOf(MAX_DEPTH))
    expect(plainData(holding(100_000))).toEqual(holding(100_000))
  })

  test('a larger one is refused, also when it comes from toJSON', () => {
    expect(() => plainData(levelsOf(MAX_DEPTH + 1))).toThrow(`more than ${MAX_DEPTH} levels`)
    expect(() => plainData(holding(100_001))).toThrow('more than 100000 values')
    const endless = { toJSON: () => endless }
    expect(() => plainData({ a: endless })).toThrow(`more than ${MAX_DEPTH} levels`)
  })
})

test('of values side by side each is named by its own place', () => {
  expect(() => plainData({ a: { b: 1 }, c: [[0], { d: [1, 5n] }] })).toThrow('the BigInt 5 at /c/1/d/1')
})

test('objects without a prototype are plain; objects that inherit from another object are not', () => {
  const bare = Object.assign(Object.create(null), { a: 1 })
  expect(plainData({ bare, list: [bare] })).toEqual({ bare: { a: 1 }, list: [{ a: 1 }] })
  expect(() => plainData(Object.create({ a: 1 }))).toThrow(NotPlainError)
  expect(() => plainData(null)).toThrow(NotPlainError)
  expect(() => plainData('text')).toThrow('the text "text"')
})

test('a given value is copied, and a value from JSON.parse is frozen in place', () => {
  const given = { a: 1 }
  expect(plainData(given)).not.toBe(given)
  const parsed = [{ a: { b: [1] } }]
  expect(freezeParsed(parsed)).toBe(parsed)
  expect(isFrozenThroughout(parsed)).toBe(true)
  const shared = shareParsed({ a: 1 })
  expect(plainData(shared)).toBe(shared)
  expect([freezeParsed(null), shareParsed(null), shareParsed('text')]).toEqual([null, null, 'text'])
})

test.each<[string, unknown, string]>([
  ['a list', [1], 'an array of 1'],
  ['a date', new Date(0), 'a Date'],
  ['a class of its own', new (class Money {})(), 'a Money'],
  ['a BigInt', { a: 5n }, 'the BigInt 5 at /a'],
  ['no number', { a: [Number.NaN] }, 'the number NaN at /a/0'],
  ['an infinite number', { a: -Infinity }, 'the number -Infinity at /a'],
  ['a function', { a: { b: () => {} } }, 'a function at /a/b'],
  ['a symbol', { a: Symbol('x') }, 'a symbol at /a'],
  ['a map', { a: new Map() }, 'a Map at /a'],
  ['an error', { a: new Error('no') }, 'an error: no at /a'],
  ['a promise', { a: Promise.resolve() }, 'a promise at /a'],
  ['undefined in a list', { a: [undefined] }, 'undefined in an array at /a/0'],
  ['a hole', { a: new Array(1) }, 'undefined in an array at /a/0'],
  ['NUL', { a: 'x\0' }, 'a text that contains the character NUL (\\u0000), which cannot be stored at /a'],
  ['a name that cannot be stored', { 'a\0': { b: 1 } }, 'a name that contains the character NUL'],
  ['a name that cannot be stored, of a text', { 'a\0': 'b' }, 'a name that contains the character NUL'],
  ['__proto__', JSON.parse('{"__proto__":{"x":1}}'), 'a member of this name, which is not allowed, at /__proto__'],
  ['too deep', deep(MAX_DEPTH), `more than ${MAX_DEPTH} levels`],
  ['too large', { a: Array.from({ length: 100_001 }, () => 0) }, 'more than 100000 values'],
])('%s is not plain', (_, value, what) => {
  expect(() => plainData(value)).toThrow(NotPlainError)
  expect(() => plainData(value)).toThrow(what)
})

test('the error of a getter is thrown unchanged', () => {
  const broken = Object.defineProperty({}, 'a', {
    enumerable: true,
    get: () => {
      throw new RangeError('far')
    },
  })
  expect(() => plainData({ broken })).toThrow(RangeError)
})
