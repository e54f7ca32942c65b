/** Schemas are strict, and report each violation with a pointer. */
import { describe, expect, test } from '@jest/globals'
import { Type } from '@sinclair/typebox'
import { CHECKED_FORMATS, compileSchema, isMissing, SchemaError } from './schemas.js'

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
    [
      'what should not be there',
      { id: 1, extra: 1 },
      '/extra',
      'is not known here; known are id, a/b~c, items, at, note',
    ],
    [
      'what should not be there further down',
      { id: 1, items: [{ sku: 'a', qty: 1, x: 1 }] },
      '/items/0/x',
      'is not known here; known are sku, qty',
    ],
    ['names with / and ~', { id: 1, 'a/b~c': { 'd/e~f': 1 } }, '/a~1b~0c/d~1e~0f', 'is not known here'],
    ['a text of the wrong format', { id: 1, at: 'yesterday' }, '/at', 'must match format "date-time"'],
    ['the whole', 'text', '', 'must be object'],
  ])('%s', (_, data, pointer, message) => {
    expect(check(data)).toEqual([{ pointer, message }])
  })
})

test('a choice of values is reported once, with everything else that is wrong', () => {
  const choice = (...values: string[]) => Type.Union(values.map((value) => Type.Literal(value)))
  const schema = Type.Object({
    status: choice('open', 'closed'),
    of: Type.Union([Type.Literal('none'), Type.Object({ kind: choice('a', 'b') })]),
  })
  expect(compileSchema(schema)({ status: 'ajar', of: { kind: 'c' } })).toEqual([
    { pointer: '/status', message: 'must be one of "open", "closed"' },
    { pointer: '/of', message: 'must be string' },
    { pointer: '/of', message: 'must be "none"' },
    { pointer: '/of/kind', message: 'must be one of "a", "b"' },
    { pointer: '/of', message: 'must match a schema in anyOf' },
  ])
  expect(compileSchema(choice('open', 'closed'), { firstOnly: true })(1)).toEqual([
    { pointer: '', message: 'must be one of "open", "closed"' },
  ])
})

test('pointers to missing members escape their names too', () => {
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

test('a check keeps no state between calls', () => {
  expect(check({ id: 'one' })).toHaveLength(1)
  expect(check({ id: 1 })).toEqual([])
})

test.each([
  ['of an unknown type', { type: 'integr' }],
  ['with a pattern that does not compile', { type: 'string', pattern: '(' }],
])('a schema %s is refused at once', (_, schema) => {
  expect(() => compileSchema(schema)).toThrow()
})

/** The problems of an invalid schema. */
function problemsOfSchema(schema: object) {
  try {
    compileSchema(schema)
  } catch (error) {
    expect(error).toBeInstanceOf(SchemaError)
    return (error as SchemaError).problems
  }
  return []
}

test('an invalid schema reports its fault, and not the alternatives that it does not match either', () => {
  expect(problemsOfSchema({ properties: { a: { type: 'integr', minLength: -1 } } })).toEqual([
    {
      pointer: '/properties/a/type',
      message: 'must be one of "array", "boolean", "integer", "null", "number", "object", "string"',
    },
    { pointer: '/properties/a/type', message: 'must be array' },
    { pointer: '/properties/a/minLength', message: 'must be >= 0' },
  ])
  expect(problemsOfSchema({ $ref: '#/$defs/a' })).toEqual([
    { pointer: '', message: 'refers to #/$defs/a, which is not in this schema: nothing else can be referred to' },
  ])
  expect(problemsOfSchema({ type: 'string', pattern: '(' })).toEqual([
    { pointer: '', message: expect.stringContaining('Invalid regular expression') },
  ])
})

test('the error lists each problem with its place, if it has one', () => {
  const problems = [
    { pointer: '/a', message: 'is odd' },
    { pointer: '', message: 'is wrong' },
  ]
  expect(new SchemaError(problems)).toMatchObject({ name: 'SchemaError', message: '/a is odd; is wrong', problems })
})

test('all problems are reported, up to twenty; or only the first', () => {
  const schema = { properties: Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`a${n}`, { type: 'null' }])) }
  const data = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`a${n}`, n]))
  expect(compileSchema(schema)(data(5))).toHaveLength(5)
  expect(compileSchema(schema)(data(30))).toHaveLength(20)
  expect(compileSchema(schema, { firstOnly: true })(data(30))).toHaveLength(1)
})

test('a message lists the allowed values if they are few, and the known members for an unknown one', () => {
  const check = compileSchema({
    properties: { a: { const: 1 }, b: { enum: ['x', 2] }, c: { unevaluatedProperties: false } },
  })
  expect(check({ a: 2, b: 'y', c: { d: 1 } })).toEqual([
    { pointer: '/a', message: 'must be 1' },
    { pointer: '/b', message: 'must be one of "x", 2' },
    { pointer: '/c/d', message: 'is not known here' },
  ])
})

test('a missing value is told apart from a wrong one', () => {
  const missing = compileSchema({ required: ['a'] })({})
  expect([...missing, { pointer: '', message: 'must be object' }].map(isMissing)).toEqual([true, false])
})

test('string formats are checked, and annotations are not searched for names', () => {
  expect([CHECKED_FORMATS.has('date-time'), CHECKED_FORMATS.has('email'), CHECKED_FORMATS.has('x')]).toEqual([
    true,
    true,
    false,
  ])
  expect(
    problemsOfSchema({
      'x-old': { $id: '#', $ref: '#/nowhere' },
      properties: { a: { 'x-b': { $id: '#' } } },
      not: { required: ['b'], 'x-c': { $id: '#' } },
    }),
  ).toEqual([])
})

test('no number is NaN or infinite', () => {
  expect(compileSchema({ type: 'number' })(Number.NaN)).toHaveLength(1)
})
