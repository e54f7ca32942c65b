/** Which defaults are filled in, which fields are counted, and what stays unchanged. */
import { expect, test } from '@jest/globals'
import { shapeOf } from './shape.js'

const inner = { type: 'object', properties: { n: { default: [1] } } }
const shape = shapeOf({
  type: 'object',
  properties: { a: inner, list: { type: 'array', items: { $ref: '#/$defs/inner' } }, way: { anyOf: [inner] } },
  $defs: { inner },
})

test('defaults are filled in where no alternative is involved, and given values are not changed', () => {
  const data = Object.freeze({ a: Object.freeze({}), list: Object.freeze([{}, { n: 2 }, 'x']), way: {}, other: {} })
  expect(shape.complete(data)).toEqual({ a: { n: [1] }, list: [{ n: [1] }, { n: 2 }, 'x'], way: {}, other: {} })
  const whole = { a: { n: null } }
  expect(shape.complete(whole)).toBe(whole)
})

test('a default is a new value each time', () => {
  const [first, second] = [shape.complete({ a: {} }), shape.complete({ a: {} })] as { a: { n: number[] } }[]
  first!.a.n.push(2)
  expect(second!.a.n).toEqual([1])
})

test('fields that are not named are counted at every level', () => {
  expect(shape.countUnknown({ a: { n: 1, m: 2 }, list: [{ x: 1 }, { n: 1 }], way: { y: 1 }, z: 1 })).toBe(3)
})
