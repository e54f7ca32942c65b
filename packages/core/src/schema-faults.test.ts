/** Which schemas are accepted, and what the refusal of the others says. */
import { describe, expect, test } from '@jest/globals'
import { Type } from '@sinclair/typebox'
import { schemaFaults } from './schema-faults.js'
import { compileSchema } from './schemas.js'

const field = (schema: unknown) => ({ type: 'object', properties: { a: schema } })

describe('valid JSON Schema 2020-12 is accepted:', () => {
  test.each<[string, object, good: unknown, bad: unknown]>([
    ['an empty schema', {}, { a: 1 }, undefined],
    ['a tuple of any length', field({ type: 'array', prefixItems: [{ type: 'integer' }] }), { a: [] }, { a: ['x'] }],
    ['a closed tuple', field({ prefixItems: [{ type: 'integer' }], items: false }), { a: [1] }, { a: [1, 2] }],
    [
      'notes of the standard',
      { ...field({ type: 'integer', deprecated: true, readOnly: true, $comment: 'c', examples: [1] }), title: 't' },
      { a: 1 },
      { a: 'x' },
    ],
    [
      'notes of OpenAPI',
      { ...field({ type: 'integer', example: 1 }), discriminator: { propertyName: 'a' }, externalDocs: {} },
      { a: 1 },
      { a: 'x' },
    ],
    [
      'notes of your own',
      field({ type: 'integer', 'x-owner': 'sales', unit: 'g', comment: 'c', propertiesOrder: ['a'] }),
      { a: 1 },
      { a: 'x' },
    ],
    [
      'notes that look like schemas',
      {
        ...field({ $ref: '#/$defs/b' }),
        'x-old': { $id: '#', $anchor: 'b', $ref: 'nowhere' },
        $defs: { b: { type: 'integer' } },
      },
      { a: 1 },
      { a: 'x' },
    ],
    [
      'notes named like what every object has',
      field({ type: 'integer', constructor: ['a'], toString: [1], ['__proto__']: 1 }),
      { a: 1 },
      { a: 'x' },
    ],
    [
      'then without if',
      field(JSON.parse('{ "type": "integer", "then": { "minimum": 5 }, "else": false }')),
      { a: 1 },
      { a: 'x' },
    ],
    ['if without then', field({ type: 'integer', if: { minimum: 5 } }), { a: 1 }, { a: 'x' }],
    [
      'if, then, else',
      field(JSON.parse('{ "if": { "type": "integer" }, "then": { "minimum": 5 }, "else": { "minLength": 2 } }')),
      { a: 'xy' },
      { a: 1 },
    ],
    ['minContains without contains', field({ type: 'array', minContains: 3 }), { a: [] }, { a: 1 }],
    ['contains', field({ contains: { const: 1 }, maxContains: 1 }), { a: [1, 2] }, { a: [1, 1] }],
    ['an unknown format', field({ type: 'string', format: 'ulid' }), { a: 'x' }, { a: 1 }],
    ['a format of 2020-12 that is not checked', field({ type: 'string', format: 'idn-email' }), { a: 'x' }, { a: 1 }],
    ['a known format', field({ format: 'date-time' }), { a: '2026-01-01T00:00:00Z' }, { a: 'yesterday' }],
    ['an address', field({ format: 'email' }), { a: 'a@b.example' }, { a: 'a at b' }],
    ['several types', field({ type: ['integer', 'null'] }), { a: null }, { a: 'x' }],
    ['bounds of another type', field({ type: 'string', minimum: 5 }), { a: 'x' }, { a: 5 }],
    ['required fields without a schema', { type: 'object', required: ['a'] }, { a: 1 }, {}],
    ['properties without a type', { properties: { a: { type: 'integer' } } }, { a: 1 }, { a: 'x' }],
    [
      'a field by name and by pattern',
      { ...field({ type: 'integer' }), patternProperties: { '^a': { minimum: 1 } } },
      { a: 1 },
      { a: 0 },
    ],
    [
      'unevaluatedProperties',
      { allOf: [field({ type: 'integer' })], unevaluatedProperties: false },
      { a: 1 },
      { b: 1 },
    ],
    [
      'dependentSchemas',
      { dependentSchemas: { a: { required: ['b'] } }, dependentRequired: { c: ['a'] } },
      { a: 1, b: 1 },
      { a: 1 },
    ],
    ['propertyNames', { propertyNames: { maxLength: 1 } }, { a: 1 }, { ab: 1 }],
    ['a recursive one', { ...field({ $ref: '#' }), additionalProperties: false }, { a: { a: {} } }, { a: { b: 1 } }],
    [
      'a dynamic one',
      { $dynamicAnchor: 'node', ...field({ $dynamicRef: '#node' }), additionalProperties: false },
      { a: {} },
      { a: { b: 1 } },
    ],
    ['anchors', { ...field({ $ref: '#b' }), $defs: { b: { $anchor: 'b', type: 'integer' } } }, { a: 1 }, { a: 'x' }],
    [
      'definitions, as they were called',
      { ...field({ $ref: '#/definitions/b' }), definitions: { b: { type: 'integer' } } },
      { a: 1 },
      { a: 'x' },
    ],
    [
      'a name of its own',
      {
        $id: 'https://example.com/a.json',
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        ...field({ type: 'integer' }),
      },
      { a: 1 },
      { a: 'x' },
    ],
    ['a reference at the top', { $ref: '#/$defs/a', $defs: { a: field({ type: 'integer' }) } }, { a: 1 }, { a: 'x' }],
    [
      'alternatives of which one is an object',
      { anyOf: [{ type: 'array' }, field({ type: 'integer' })] },
      { a: 1 },
      { a: 'x' },
    ],
    ['listed objects', { enum: [1, { a: 1 }] }, { a: 1 }, { a: 2 }],
    [
      'content',
      field({ type: 'string', contentEncoding: 'base64', contentMediaType: 'application/json', contentSchema: {} }),
      { a: 'x' },
      { a: 1 },
    ],
    [
      'a field named like a keyword',
      { properties: { type: { type: 'integer' }, propertys: {}, $ref: {} } },
      { type: 1 },
      { type: 'x' },
    ],
    [
      'a large one',
      { properties: Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`a${n}`, { type: 'integer' }])) },
      { a1: 1 },
      { a1: 'x' },
    ],
    ['a union of TypeBox', Type.Object({ a: Type.Union([Type.Literal('x'), Type.Null()]) }), { a: null }, { a: 'y' }],
    [
      'a record of TypeBox',
      Type.Object({ a: Type.Record(Type.String(), Type.Integer()) }),
      { a: { b: 1 } },
      { a: { b: 'x' } },
    ],
    ['an enum of TypeBox', Type.Object({ a: Type.Enum({ one: 1, two: 2 }) }), { a: 2 }, { a: 3 }],
    [
      'a template of TypeBox',
      Type.Object({ a: Type.TemplateLiteral([Type.Literal('id-'), Type.Number()]) }),
      { a: 'id-1' },
      { a: 'id-x' },
    ],
  ])('%s', (_, schema, good, bad) => {
    expect(schemaFaults(schema)).toEqual([])
    const check = compileSchema(schema)
    expect(check(good)).toEqual([])
    if (bad !== undefined) expect(check(bad)).not.toEqual([])
  })
})

describe('refused, with the place and the remedy:', () => {
  const older = 'is of an older JSON Schema; 2020-12 has'
  test.each<[string, unknown, pointer: string, message: string]>([
    ['a text', 'object', '', 'must be an object with the keywords of JSON Schema'],
    ['false', false, '', 'must be an object with the keywords of JSON Schema'],
    ['a list', [{ type: 'object' }], '', 'must be an object with the keywords of JSON Schema'],
    ['BigInt', field({ const: 1n }), '', 'cannot be written as JSON: Do not know how to serialize a BigInt'],
    [
      'a date of TypeBox',
      Type.Object({ a: Type.Date() }),
      '/properties/a/type',
      `"Date" is no type of JSON, which is what an event is sent as; use Type.String({ format: 'date-time' })`,
    ],
    [
      'a bigint of TypeBox',
      Type.Object({ a: Type.Array(Type.BigInt()) }),
      '/properties/a/items/type',
      `"bigint" is no type of JSON, which is what an event is sent as; use Type.Integer() up to 2^53, or Type.String({ pattern: '^-?[0-9]+$' })`,
    ],
    [
      'undefined of TypeBox',
      Type.Object({ a: Type.Undefined() }),
      '/properties/a/type',
      '"undefined" is no type of JSON, which is what an event is sent as; use Type.Optional(…) around a field that may be missing, or Type.Null()',
    ],
    [
      'bytes of TypeBox',
      Type.Object({ a: Type.Uint8Array() }),
      '/properties/a/type',
      `"Uint8Array" is no type of JSON, which is what an event is sent as; use Type.String({ contentEncoding: 'base64' })`,
    ],
    [
      'a misspelt type',
      field({ type: 'strnig' }),
      '/properties/a/type',
      '"strnig" is no type of JSON Schema; is "string" meant?',
    ],
    [
      'an unknown type',
      field({ type: ['null', 'float'] }),
      '/properties/a/type',
      '"float" is no type of JSON Schema; there are array, boolean, integer, null, number, object, string',
    ],
    [
      'a misspelt keyword',
      { type: 'object', propertys: {} },
      '/propertys',
      'is no keyword of JSON Schema; is properties meant? A note of your own may have any name that begins with x-',
    ],
    [
      'a keyword in other case',
      field({ minlength: 1 }),
      '/properties/a/minlength',
      'is no keyword of JSON Schema; is minLength meant? A note of your own may have any name that begins with x-',
    ],
    [
      'a misspelt format',
      field({ format: 'datetime' }),
      '/properties/a/format',
      '"datetime" is not known, and would not be checked; is "date-time" meant?',
    ],
    [
      'nullable',
      field({ type: 'string', nullable: true }),
      '/properties/a/nullable',
      'is OpenAPI\'s; write type: ["string", "null"], or anyOf with { type: "null" }',
    ],
    [
      'a list of items',
      field({ items: [{}] }),
      '/properties/a/items',
      `is a list, which ${older} prefixItems for the first items and items for the others`,
    ],
    [
      'additionalItems',
      field({ additionalItems: false }),
      '/properties/a/additionalItems',
      `${older} prefixItems for the first items and items for the others`,
    ],
    [
      'dependencies',
      { dependencies: { a: ['b'] } },
      '/dependencies',
      `${older} dependentRequired and dependentSchemas`,
    ],
    [
      'another dialect',
      { $schema: 'http://json-schema.org/draft-07/schema#' },
      '/$schema',
      'must be https://json-schema.org/draft/2020-12/schema, or be left out',
    ],
    [
      'an asynchronous check',
      { $async: true, type: 'object' },
      '/$async',
      'is no JSON Schema: a check answers at once',
    ],
    [
      'a pattern that is none',
      field({ pattern: '(' }),
      '/properties/a/pattern',
      'Invalid regular expression: /(/u: Unterminated group; a pattern is a regular expression with the flag u',
    ],
    [
      'a text for a schema',
      { properties: { a: 'string' } },
      '/properties/a',
      'must be a schema: an object, true or false',
    ],
    ['required in its field', field({ required: true }), '/properties/a/required', 'must be array'],
    ['a negative length', field({ minLength: -1 }), '/properties/a/minLength', 'must be >= 0'],
    [
      'a reference to elsewhere',
      field({ $ref: 'https://example.com/b.json' }),
      '',
      'refers to https://example.com/b.json, which is not in this schema: nothing else can be referred to',
    ],
    [
      'a reference to nowhere',
      field({ $ref: '#/$defs/b' }),
      '',
      'refers to #/$defs/b, which is not in this schema: nothing else can be referred to',
    ],
    [
      'lists only',
      { type: 'array' },
      '',
      'lets no event through: data is always an object, and this schema accepts only array',
    ],
    [
      'texts and null',
      { type: ['string', 'null'] },
      '',
      'lets no event through: data is always an object, and this schema accepts only string, null',
    ],
    [
      'one text',
      { const: 'x' },
      '',
      'lets no event through: data is always an object, and this schema accepts nothing of the kind',
    ],
    [
      'alternatives without an object',
      { anyOf: [{ type: 'array' }, { $ref: '#/$defs/b' }], $defs: { b: { enum: [1, 2] } } },
      '',
      'lets no event through: data is always an object, and this schema accepts nothing of the kind',
    ],
    [
      'nothing',
      Type.Never(),
      '',
      'lets no event through: data is always an object, and this schema accepts nothing of the kind',
    ],
  ])('%s', (_, schema, pointer, message) => {
    expect(schemaFaults(schema)).toEqual([{ pointer, message }])
  })
})

test.each(['anyOf', 'allOf'])('a schema that refers to itself by %s does not cause an endless loop', (keyword) => {
  const $defs = { a: { [keyword]: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/b' }, { $ref: '#/$defs/a' }] }, b: {} }
  expect(schemaFaults({ $ref: '#/$defs/a', $defs })).toEqual([])
})

test('all faults are reported at once, up to ten', () => {
  const properties = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`a${n}`, { type: 'text' }]))
  expect(schemaFaults({ properties })).toHaveLength(10)
})

/** The faults reported for a keyword in a field. */
const saidOf = (keyword: string, value: unknown = true) => schemaFaults(field({ [keyword]: value }))[0]?.message

describe('a misspelt keyword is refused', () => {
  test.each<[string, string]>([
    ['with a letter too few', 'requird'],
    ['with two too few', 'requir'],
    ['with two too many', 'reequiredd'],
    ['with two wrong', 'reguirad'],
    ['with two swapped', 'reqiured'],
    ['with two swapped and one too few', 'reqiurd'],
    ['with the first two swapped and one wrong', 'erquirad'],
    ['in other case', 'REQUIRED'],
  ])('%s', (_, keyword) => {
    expect(saidOf(keyword)).toContain('; is required meant?')
  })

  test.each(['requi', 'reeequiredd', 'rrrrired', 'tpe2', 'ty', 'x-requird'])('but %s is an annotation', (keyword) => {
    expect(saidOf(keyword)).toBeUndefined()
  })
})

test.each(['$recursiveRef', '$recursiveAnchor', 'divisibleBy', 'disallow', 'dependencies', 'nullable'])(
  '%s is refused with its replacement',
  (keyword) => {
    expect(saidOf(keyword)).toMatch(/^is (of an older JSON Schema; 2020-12 has|OpenAPI's; write) /)
  },
)

test.each(['void', 'RegExp', 'symbol', 'Function', 'Promise', 'AsyncGenerator'])('JSON has no %s', (type) => {
  expect(saidOf('type', type)).toMatch(/ is no type of JSON, which is what an event is sent as; use /)
})

test.each<[string, unknown, string]>([
  ['pattern', 5, 'must be a text'],
  ['type', 5, '5 is no type of JSON Schema; there are array'],
  ['format', 'dat', 'nothing'],
  ['format', 'idn-email', 'nothing'],
  ['format', 'e-mail', '"e-mail" is not known, and would not be checked; is "email" meant?'],
  ['$schema', 'https://json-schema.org/draft/2020-12/schema#', 'nothing'],
])('for %s: %p the message is: %s', (keyword, value, said) => {
  expect(saidOf(keyword, value) ?? 'nothing').toContain(said)
})

test('a schema may be a hundred levels deep, and no deeper', () => {
  const nested = (depth: number) => {
    let schema: object = {}
    for (let n = 0; n < depth; n++) schema = { not: schema }
    return schema
  }
  expect(schemaFaults(field(nested(101)))[0]).toEqual({
    pointer: `/properties/a${'/not'.repeat(100)}`,
    message: 'is nested deeper than 100 schemas',
  })
  expect(schemaFaults(field(nested(90)))).toEqual([])
})

test.each<[string, object, boolean]>([
  ['a list of types with object', { type: ['string', 'object'] }, true],
  ['an object as the only value', { const: { a: 1 } }, true],
  ['values with an object among them', { enum: [1, { a: 1 }] }, true],
  ['not something', { not: { required: ['a'] } }, true],
  ['not anything', { not: {} }, false],
  ['not anything, with a note', { not: { title: 'all' } }, false],
  ['not true', { not: true }, false],
  ['one of which one is an object', { oneOf: [{ type: 'string' }, { type: 'object' }] }, true],
  ['anything among others', { anyOf: [{ type: 'string' }, true] }, true],
  ['nothing among others that are none', { anyOf: [{ type: 'string' }, false] }, false],
  ['one of none', { oneOf: [{ type: 'string' }] }, false],
  ['all of which one is none', { allOf: [{ type: 'object' }, { type: 'string' }] }, false],
  ['a reference to a text', { $ref: '#/$defs/a', $defs: { a: { type: 'string' } } }, false],
  ['a reference by escaped names', { $ref: '#/$defs/a~1b~0', $defs: { 'a/b~': { type: 'string' } } }, false],
  ['a reference to an object', { $ref: '#/$defs/a', $defs: { a: { type: 'object' } } }, true],
  ['a reference to itself', { $ref: '#' }, true],
])('whether objects can match: %s', (_, schema, fits) => {
  expect(schemaFaults(schema).map(({ message }) => message)).toEqual(
    fits ? [] : [expect.stringContaining('lets no event through')],
  )
})
