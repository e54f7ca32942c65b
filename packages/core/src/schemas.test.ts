/** Schemas are strict, and say by a pointer what breaks them. */
import { describe, expect, test } from '@jest/globals'
import { Type } from '@sinclair/typebox'
import { compileSchema } from './schemas.js'

const check = compileSchema(
  Type.Object(
    {
      id: Type.Integer({ minimum: 1 }),
      'a/b~c': Type.Optional(Type.Object({}, { additionalProperties: false })),
      items: Type.Optional(
        Type.Array(Type.Object({ sku: Type.String(), qty: Type.Number() }, { additionalProperties: false })),
      ),
      at: Type.Optional(Type.String({ format: 'date-time' })),
      note: Type.Optional(Type.String({ default: 'none' })),
    },
    { additionalProperties: false },
  ),
)

test('valid data has no problems', () => {
  expect(check({ id: 1, items: [{ sku: 'a', qty: 0.5 }], at: '2024-02-29T12:00:00Z' })).toEqual([])
})

describe('a problem points to', () => {
  test.each<[string, unknown, string, string]>([
    ['a value of the wrong type', { id: 'one' }, '/id', 'must be integer'],
    ['a value out of range', { id: 0 }, '/id', 'must be >= 1'],
    ['the place of what is missing', {}, '/id', "must have required property 'id'"],
    [
      'the place of what is missing further down',
      { id: 1, items: [{ sku: 'a', qty: 1 }, { sku: 'b' }] },
      '/items/1/qty',
      "must have required property 'qty'",
    ],
    ['what should not be there', { id: 1, extra: 1 }, '/extra', 'must NOT have additional properties'],
    [
      'what should not be there further down',
      { id: 1, items: [{ sku: 'a', qty: 1, x: 1 }] },
      '/items/0/x',
      'must NOT have additional properties',
    ],
    [
      'names with / and ~',
      { id: 1, 'a/b~c': { 'd/e~f': 1 } },
      '/a~1b~0c/d~1e~0f',
      'must NOT have additional properties',
    ],
    ['a text of the wrong format', { id: 1, at: 'yesterday' }, '/at', 'must match format "date-time"'],
    ['the whole', 'text', '', 'must be object'],
  ])('%s', (_, data, pointer, message) => {
    expect(check(data)).toEqual([{ pointer, message }])
  })
})

test('names that are escaped are escaped where they are missing too', () => {
  expect(compileSchema(Type.Object({ 'a/b~c': Type.String() }))({})).toMatchObject([{ pointer: '/a~1b~0c' }])
})

test.each<[string, object]>([
  ['a number sent as a text', { id: '1' }],
  ['a text sent as a number', { id: 1, note: 5 }],
  ['null for what is left out', { id: 1, note: null }],
  ['a boolean for a number', { id: true }],
  ['one item for a list', { id: 1, items: { sku: 'a', qty: 1 } }],
])('nothing is coerced: %s', (_, data) => {
  expect(check(data)).toHaveLength(1)
})

test('nothing is changed: no default is filled in, nothing is dropped', () => {
  const data = { id: 1, extra: { id: 2 } }
  const before = structuredClone(data)
  check(data)
  check({ ...data, extra: undefined })
  expect(data).toEqual(before)
  expect(Object.keys(data)).toEqual(['id', 'extra'])
})

test('a check remembers nothing of the data before', () => {
  expect(check({ id: 'one' })).toHaveLength(1)
  expect(check({ id: 1 })).toEqual([])
})

test.each([
  ['of an unknown type', { type: 'integr' }],
  ['with a pattern that does not compile', { type: 'string', pattern: '(' }],
])('a schema %s is refused at once', (_, schema) => {
  expect(() => compileSchema(schema)).toThrow()
})
