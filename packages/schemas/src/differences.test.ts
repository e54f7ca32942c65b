/** Schemas reported as compatible are compatible for all data, and each rule is reported at the right place. */
import { compileSchema } from '@eventflow/core'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { differencesBetween } from './differences.js'
import { compileFaults, incompatibilitiesOf } from './examination.js'
import { anyRoot, changed, type Dice, diceOf, someValue } from './generate.fixture.js'
import type { Node, Schema } from './schema-node.js'
import { shapeOf } from './shape.js'

/** Reads like a worker: fills in defaults, then checks everything. */
function readerOf(schema: Node) {
  const [check, shape] = [compileSchema(schema), shapeOf(schema)]
  return (value: unknown) => check(shape.complete(value as Record<string, unknown>)).length === 0
}

/** A schema and a copy with a few changes. */
function pairOf(dice: Dice): [Node, Node] {
  const first = anyRoot(dice)
  let second: Schema = first
  for (let changes = 1 + dice(2); changes > 0; changes--) second = changed(dice, second)
  return [first, (typeof second === 'object' ? second : {}) as Node]
}

const VALUES = 60

test('a value that fits a schema fits every schema without differences to it', () => {
  let compared = 0
  const property = fc.property(fc.integer(), (seed) => {
    const dice = diceOf(seed)
    const [writer, reader] = pairOf(dice)
    if (compileFaults(writer).length > 0 || compileFaults(reader).length > 0) return
    if (differencesBetween(writer, reader).length > 0) return
    const [fitsWriter, fitsReader] = [readerOf(writer), readerOf(reader)]
    for (let n = 0; n < VALUES; n++) {
      const value = someValue(dice, n % 2 ? writer : reader, writer)
      if (!fitsWriter(value)) continue
      compared++
      if (!fitsReader(value)) throw new Error(JSON.stringify({ writer, reader, value }))
    }
  })
  fc.assert(property, { numRuns: 400, seed: 7 })
  // Makes sure that enough pairs were compared.
  expect(compared).toBeGreaterThan(1_000)
})

const object = (properties: Node, rest: Node = {}): Node => ({ type: 'object', properties, ...rest })
const closed = { additionalProperties: false }
const text = { type: 'string' }
const whole = { type: 'integer' }

const found = (writer: Schema, reader: Schema) =>
  differencesBetween(writer, reader).map(({ path, rule }) => `${path} ${rule}`)

describe('fields', () => {
  test.each<[string, Node, Node, string[]]>([
    ['the same', object({ a: text }), object({ a: text }), []],
    [
      'one more, where anything could have been',
      object({ a: text }),
      object({ a: text, b: text }),
      ['/properties/b PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL'],
    ],
    ['one more in a closed schema', object({ a: text }, closed), object({ a: text, b: text }, closed), []],
    ['one more without a restriction', object({}), object({ b: {} }), []],
    ['one less in an open schema', object({ a: text, b: text }), object({ a: text }), []],
    [
      'one less, where nothing may be',
      object({ a: text, b: text }, closed),
      object({ a: text }, closed),
      ['/properties/b PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL'],
    ],
    [
      'one more, where only numbers could have been',
      object({}, { additionalProperties: whole }),
      object({ b: text }, { additionalProperties: whole }),
      ['/properties/b PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL'],
    ],
    [
      'one less, where only numbers may be',
      object({ b: text }, { additionalProperties: whole }),
      object({}, { additionalProperties: whole }),
      ['/properties/b PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL'],
    ],
    [
      'one that must be there now',
      object({ a: text }),
      object({ a: text }, { required: ['a'] }),
      ['/properties/a REQUIRED_ATTRIBUTE_ADDED'],
    ],
    [
      'one that must be there and is filled in',
      object({ n: whole }),
      object({ n: { ...whole, default: 1 } }, { required: ['n'] }),
      [],
    ],
    [
      'one that was filled in and is not any more',
      object({ n: { ...whole, default: 1 } }, { required: ['n'] }),
      object({ n: whole }, { required: ['n'] }),
      ['/properties/n REQUIRED_ATTRIBUTE_ADDED'],
    ],
    [
      'other fields no longer allowed',
      object({}),
      object({}, closed),
      ['/additionalProperties ADDITIONAL_PROPERTIES_REMOVED'],
    ],
    ['another type', object({ a: text }), object({ a: whole }), ['/properties/a TYPE_CHANGED']],
    ['a wider type', object({ a: whole }), object({ a: { type: 'number' } }), []],
    [
      'a narrower one',
      object({ a: { type: ['string', 'null'] } }),
      object({ a: text }),
      ['/properties/a TYPE_NARROWED'],
    ],
    [
      'deep down',
      object({ 'a/b': { type: 'array', items: object({ c: { ...text, maxLength: 9 } }) } }),
      object({ 'a/b': { type: 'array', items: object({ c: { ...text, maxLength: 8 } }) } }),
      ['/properties/a~1b/items/properties/c/maxLength MAX_LENGTH_DECREASED'],
    ],
  ])('%s', (_, writer, reader, expected) => {
    expect(found(writer, reader)).toEqual(expected)
  })
})

describe('values', () => {
  test.each<[string, Schema, Schema, string[]]>([
    ['one value less', { enum: ['a', 'b'] }, { enum: ['a'] }, [' ENUM_ARRAY_NARROWED']],
    ['one value more', { enum: ['a'] }, { enum: ['a', 'b'] }, []],
    ['values that fit a type', { enum: ['a', 'b'] }, { ...text, maxLength: 1 }, []],
    ['a higher minimum', { ...whole, minimum: 1 }, { ...whole, minimum: 2 }, ['/minimum MINIMUM_INCREASED']],
    ['a lower minimum', { ...whole, minimum: 2 }, { ...whole, exclusiveMinimum: 1 }, []],
    ['a maximum', whole, { ...whole, maximum: 2 }, ['/maximum MAXIMUM_ADDED']],
    ['multiples', { ...whole, multipleOf: 10 }, { ...whole, multipleOf: 5 }, []],
    ['other multiples', { ...whole, multipleOf: 5 }, { ...whole, multipleOf: 10 }, ['/multipleOf MULTIPLE_OF_CHANGED']],
    ['another pattern', { ...text, pattern: '^a$' }, { ...text, pattern: '^b$' }, ['/pattern PATTERN_CHANGED']],
    ['a format', text, { ...text, format: 'uuid' }, ['/format FORMAT_CHANGED']],
    ['no repetitions', { type: 'array' }, { type: 'array', uniqueItems: true }, ['/uniqueItems UNIQUE_ITEMS_ADDED']],
    ['a union with one more', { anyOf: [text, whole] }, { anyOf: [text, whole, { type: 'null' }] }, []],
    ['a union with one less', { anyOf: [text, whole] }, { anyOf: [text] }, [' COMBINED_TYPE_CHANGED']],
    ['one of the alternatives', text, { anyOf: [whole, text] }, []],
    ['exactly one of two that overlap', whole, { oneOf: [whole, { type: 'number' }] }, [' COMBINED_TYPE_CHANGED']],
    [
      'exactly one, told apart by a field',
      { oneOf: [object({ k: { const: 'a' } }, { required: ['k'] })] },
      {
        oneOf: [object({ k: { const: 'a' } }, { required: ['k'] }), object({ k: { const: 'b' } }, { required: ['k'] })],
      },
      [],
    ],
    ['a condition', { type: 'object' }, { type: 'object', not: { required: ['a'] } }, ['/not NOT_CHANGED']],
  ])('%s', (_, writer, reader, expected) => {
    expect(found(writer, reader)).toEqual(expected)
  })
})

test('oneOf with two schemas that accept everything accepts nothing', () => {
  expect(found(object({}), { oneOf: [true, true] })).toEqual([' COMBINED_TYPE_CHANGED'])
})

test('equal references differ if their definition has changed', () => {
  const pointing = (to: Node) => ({
    properties: { a: object({}, { patternProperties: { '^a$': { $ref: '#/$defs/b' } } }) },
    $defs: { b: to },
  })
  expect(found(pointing(text), pointing(whole))).toEqual(['/properties/a/patternProperties PATTERN_PROPERTIES_CHANGED'])
})

test('a schema that contains itself can be compared', () => {
  const tree = (leaf: Node) => ({
    $ref: '#/$defs/node',
    $defs: { node: object({ leaf, left: { $ref: '#/$defs/node' }, right: { $ref: '#/$defs/node' } }, closed) },
  })
  expect(found(tree(whole), tree({ type: 'number' }))).toEqual([])
  expect(found(tree({ type: 'number' }), tree(whole))).toEqual(['/properties/leaf TYPE_NARROWED'])
})

describe('modes', () => {
  const versions = [object({ a: whole }), object({ a: { type: 'number' } })].map((schema, n) => ({
    schema,
    version: n + 1,
  }))
  const next = (mode: Parameters<typeof incompatibilitiesOf>[1], a: Node) =>
    incompatibilitiesOf(object({ a }), mode, versions).map(
      ({ version, direction, path, rule }) => `${direction} ${version} ${path} ${rule}`,
    )

  test.each([
    ['NONE', text, []],
    ['BACKWARD', { type: ['number', 'string'] }, []],
    ['BACKWARD', whole, ['backward 2 /properties/a TYPE_NARROWED']],
    ['BACKWARD_TRANSITIVE', text, ['backward 1 /properties/a TYPE_CHANGED', 'backward 2 /properties/a TYPE_CHANGED']],
    ['FORWARD', whole, []],
    ['FORWARD', { type: ['number', 'string'] }, ['forward 2 /properties/a TYPE_NARROWED']],
    ['FORWARD_TRANSITIVE', { type: 'number' }, ['forward 1 /properties/a TYPE_NARROWED']],
    ['FULL', { type: 'number', title: 'new' }, []],
    ['FULL', whole, ['backward 2 /properties/a TYPE_NARROWED']],
    ['FULL_TRANSITIVE', { type: 'number' }, ['forward 1 /properties/a TYPE_NARROWED']],
  ] as const)('%s of %j', (mode, a, expected) => {
    expect(next(mode, a)).toEqual(expected)
  })
})
