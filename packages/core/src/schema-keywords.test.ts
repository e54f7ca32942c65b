/** Where subschemas occur within a schema. */
import { expect, test } from '@jest/globals'
import { innerSchemas, mapSchema } from './schema-keywords.js'

const schema = {
  type: 'object',
  properties: { type: { type: 'string' }, a: { items: { type: 'number' } } },
  $defs: { b: { not: { const: { type: 'no schema' } } } },
  allOf: [{ type: 'object' }, true],
  enum: [{ type: 'no schema' }],
  default: { type: 'no schema' },
}

test('each subschema is changed, the inner ones first, and nothing else', () => {
  const order: unknown[] = []
  const changed = mapSchema(schema, (node) => {
    order.push(node.type ?? Object.keys(node)[0])
    return { ...node, seen: true }
  })
  expect(changed).toEqual({
    ...schema,
    properties: { type: { type: 'string', seen: true }, a: { items: { type: 'number', seen: true }, seen: true } },
    $defs: { b: { not: { const: { type: 'no schema' }, seen: true }, seen: true } },
    allOf: [{ type: 'object', seen: true }, true],
    seen: true,
  })
  expect(order).toEqual(['string', 'number', 'items', 'const', 'not', 'object', 'object'])
})

test('the direct subschemas are found, each with its place', () => {
  expect(innerSchemas(schema, '/at').map(({ pointer }) => pointer)).toEqual([
    '/at/properties/type',
    '/at/properties/a',
    '/at/$defs/b',
    '/at/allOf/0',
    '/at/allOf/1',
  ])
})
