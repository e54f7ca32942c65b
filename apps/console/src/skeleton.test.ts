/** A draft of an event from its schema. */
import { expect, test } from '@jest/globals'
import type { Schema } from './answers.js'
import { describeField, draftOf } from './skeleton.js'

test('has every required field, with what the schema suggests', () => {
  const schema: Schema = {
    type: 'object',
    required: ['name', 'count', 'mood', 'tags', 'inner', 'on', 'kind'],
    properties: {
      name: { type: 'string' },
      count: { type: 'integer', minimum: 3 },
      mood: { type: 'string', enum: ['good', 'bad'] },
      tags: { type: 'array', items: { type: 'string', default: 'new' } },
      inner: { type: 'object', required: ['x'], properties: { x: { type: 'number' } } },
      on: { type: 'boolean' },
      kind: { const: 'fixed' },
      optional: { type: 'string' },
    },
  }
  expect(draftOf(schema)).toEqual({
    ...{ name: '', count: 3, mood: 'good', tags: ['new'], inner: { x: 0 }, on: false, kind: 'fixed' },
  })
})

test.each<[Schema, string]>([
  [{ type: 'integer', minimum: 1, maximum: 12_451 }, 'integer, 1 to 12,451'],
  [{ type: 'string', minLength: 1 }, 'text, 1 or more characters'],
  [{ type: 'string', format: 'email' }, 'text, email'],
  [{ enum: ['a', 'b'] }, 'a, b'],
  [{ type: 'string', pattern: '^x$' }, 'text, matches ^x$'],
])('%j is told as %p', (schema, text) => {
  expect(describeField(schema)).toBe(text)
})
