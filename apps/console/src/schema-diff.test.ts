/** The differences between two versions of a schema. */
import { describe, expect, test } from '@jest/globals'
import { changesBetween } from './schema-diff.js'

const schema = (properties: object, required: string[] = []) => ({ type: 'object', properties, required }) as never

describe('two versions', () => {
  test('that differ only in order have no differences', () => {
    expect(changesBetween({ a: 1, b: [{ c: null }] }, { b: [{ c: null }], a: 1 })).toEqual([])
    expect(changesBetween(schema({}, ['a', 'b']), schema({}, ['b', 'a']))).toEqual([])
  })

  test('differ by what is new, gone or changed, each at its path', () => {
    const text = { type: 'string' }
    const before = schema({ sku: text, note: text, size: { type: 'integer', minimum: 1 } }, ['sku', 'note'])
    const after = schema({ sku: text, size: { type: 'integer', minimum: 2 }, 'a/b~c': text }, ['sku', 'size'])
    expect(changesBetween(before, after)).toEqual([
      { path: '/properties/note', kind: 'removed', before: text },
      { path: '/properties/size/minimum', kind: 'changed', before: 1, after: 2 },
      { path: '/properties/a~1b~0c', kind: 'added', after: text },
      { path: '/required', kind: 'removed', before: 'note' },
      { path: '/required', kind: 'added', after: 'size' },
    ])
  })

  test('differ in lists of schemas by their places, and where one thing became another', () => {
    expect(changesBetween({ anyOf: [{ a: 1 }] }, { anyOf: [{ a: 2 }, { b: 1 }] })).toEqual([
      { path: '/anyOf/0/a', kind: 'changed', before: 1, after: 2 },
      { path: '/anyOf/1', kind: 'added', after: { b: 1 } },
    ])
    expect(changesBetween({ type: 'string' }, { type: ['string', 'null'] })).toEqual([
      { path: '/type', kind: 'changed', before: 'string', after: ['string', 'null'] },
    ])
    expect(changesBetween(true, {})).toEqual([{ path: '', kind: 'changed', before: true, after: {} }])
  })
})

test('a name that every object answers to is a name like others', () => {
  expect(changesBetween({}, { constructor: 1 })).toEqual([{ path: '/constructor', kind: 'added', after: 1 }])
})

test('two enums of a hundred thousand are compared in one go', () => {
  const numbers = Array.from({ length: 100_000 }, (_, i) => i)
  expect(changesBetween(numbers, [...numbers.slice(1), -1])).toHaveLength(2)
})
