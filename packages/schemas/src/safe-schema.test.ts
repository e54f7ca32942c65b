/** Schemas from outside: accepted ones validate any event quickly, and those that could be slow are refused. */

import { compileSchema, schemaFaults } from '@eventflow/core'
import { describe, expect, test } from '@jest/globals'
import { contractOf } from './contract.js'
import { differencesBetween } from './differences.js'
import { createExaminer, NotExaminedError } from './examiner.js'
import { annotated, anyRoot, diceOf, someValue } from './generate.fixture.js'
import { patternFault } from './safe-pattern.js'
import { faultsIn } from './safe-schema.js'
import type { Node } from './schema-node.js'

test.each(['^[A-Z]{2}$', '^\\d{4}-\\d{2}-\\d{2}$', '^[a-z]+-[0-9]*$', '^[^,]+,[^,]*$', '^x?y$', '^é+[a-z]$', '^$'])(
  '%s is safe',
  (pattern) => {
    expect(patternFault(pattern)).toBeUndefined()
  },
)

test.each([
  '^(a|a)*$',
  '^(a+)+$',
  '^a*a*$',
  '^[a-z]+[a-z0-9]+$',
  '^\\w*x?\\d$',
  '^.*-$',
  '^é*[^a]$',
  'a+$',
  '^a',
  '^a|b$',
  '^(?=a)a$',
  '^\\1$',
  '^\\p{L}$',
  '^a{2000}$',
  '^a+?b$',
  '^[a$',
  `^${'a'.repeat(200)}$`,
])('%s is not', (pattern) => {
  expect(patternFault(pattern)).toEqual(expect.any(String))
})

const KB256 = 262_000
const listOf = (item: unknown) =>
  Array.from({ length: Math.floor(KB256 / (JSON.stringify(item).length + 1)) }, () => item)
const fields = (count: number, value: unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`f${n}`, value]))
const ways = (count: number, way: (n: number) => object) => Array.from({ length: count }, (_, n) => way(n))

/** The least processor time that `work` takes in five calls, in microseconds: other threads of the process count as well. */
function leastTime(work: () => void): number {
  const times = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage()
    work()
    return process.cpuUsage(before).user
  })
  return Math.min(...times)
}

describe('the largest event is checked quickly against', () => {
  const text = JSON.stringify(listOf({ a: 1 }))
  const parsing = leastTime(() => JSON.parse(text))
  const list = (items: object) => ({ properties: { a: { items } } })
  test.each<[string, object, object]>([
    ['alternatives', list({ anyOf: [...ways(9, () => ({ type: 'string' })), { type: 'integer' }] }), { a: listOf(1) }],
    ['exclusive alternatives', list({ oneOf: ways(10, (n) => ({ const: n })) }), { a: listOf(9) }],
    ['fields', list({ properties: fields(90, { type: 'string' }) }), { a: listOf({}) }],
    ['listed values', list({ enum: ways(100, (n) => ({ n })).map((_, n) => `v${n}`) }), { a: listOf('v99') }],
    ['items that are compared', { properties: { a: { uniqueItems: true, maxItems: 100 } } }, { a: listOf({}) }],
    [
      'patterns',
      { properties: { a: { anyOf: ways(50, (n) => ({ pattern: `^a*${'bcdefghijk'[n % 10]}$` })) } } },
      { a: 'a'.repeat(KB256) },
    ],
  ])('%s', (_, schema, data) => {
    expect(faultsIn(schema)).toEqual([])
    const checking = leastTime(() => contractOf(schema, { firstOnly: true }).check(data))
    // Usually at most a quarter of that. A rejected schema takes many times as long.
    expect(checking / parsing).toBeLessThan(100)
  })
})

describe('too many are rejected:', () => {
  const list = (items: object) => ({ properties: { a: { items } } })
  test.each<[string, object]>([
    ['alternatives for items', list({ anyOf: ways(11, () => ({ type: 'string' })) })],
    ['alternatives', { anyOf: ways(51, () => ({ required: ['a'] })) }],
    ['fields of items', list({ properties: fields(100, {}) })],
    ['fields', { properties: fields(200, {}) }],
    ['listed values', { enum: ways(101, (n) => ({ n })).map((_, n) => n) }],
    ['listed objects', { enum: [{}] }],
  ])('%s', (_, schema) => {
    expect(faultsIn(schema)).toHaveLength(1)
  })
})

test('a schema that takes too long is rejected, and the next one is examined', async () => {
  const examine = createExaminer({ timeoutMs: 1, startMs: 30_000 })
  const large = { type: 'object', properties: fields(150, { type: 'string', pattern: '^[a-z]+$' }) }
  const tooLong = [{ pointer: '', message: 'takes too long to compile and compare' }]
  expect((await examine('t', large, 'NONE', [])).faults).toEqual(tooLong)
  expect((await examine('t', large, 'NONE', [])).faults).toEqual(tooLong)
  expect((await createExaminer()('t', { type: 'object' }, 'NONE', [])).faults).toEqual([])
})

test('a schema is not faulty because its examination did not start', async () => {
  const examine = createExaminer({ timeoutMs: 2_000, startMs: 1 })
  await expect(examine('t', { type: 'object' }, 'NONE', [])).rejects.toThrow(NotExaminedError)
})

test('annotations are accepted at any place, and change neither what fits nor what is compatible', () => {
  for (let seed = 0; seed < 500; seed++) {
    const dice = diceOf(seed)
    const schema = anyRoot(dice)
    const noted = annotated(dice, schema) as Node
    expect([seed, schemaFaults(noted)]).toEqual([seed, schemaFaults(schema)])
    const [plain, same] = [compileSchema(schema), compileSchema(noted)]
    for (let n = 0; n < 20; n++) {
      const value = someValue(dice, schema, schema)
      expect([seed, value, same(value)]).toEqual([seed, value, plain(value)])
    }
    expect([seed, differencesBetween(schema, noted)]).toEqual([seed, differencesBetween(schema, schema)])
    expect([seed, differencesBetween(noted, schema)]).toEqual([seed, differencesBetween(schema, schema)])
  }
})

test('over HTTP, annotations of any name and formats that are not checked are accepted', () => {
  const a = { type: 'string', format: 'ulid', example: 'x', 'x-owner': { $ref: 'nowhere' }, $comment: 'c', unit: 'g' }
  expect(faultsIn({ type: 'object', properties: { a } })).toEqual([])
})

test.each([
  [{ not: {} }, '/not', /^is a keyword that only definitions may use, because validating it can be slow/],
  [{ patternProperties: {} }, '/patternProperties', /^is a keyword/],
  [{ unevaluatedProperties: false }, '/unevaluatedProperties', /^is a keyword/],
  [{ properties: { a: { format: 'email' } } }, '/properties/a/format', /^must be one of date-time, /],
])('is rejected over HTTP: %j', (schema, pointer, message) => {
  expect(faultsIn(schema)).toEqual([{ pointer, message: expect.stringMatching(message) }])
})

test.each<[object, string, string]>([
  [{ type: 'array' }, '', 'lets no event through: data is always an object, and this schema accepts only array'],
  [{ type: 'object', propertys: {} }, '/propertys', 'is no keyword of JSON Schema; is properties meant?'],
  [{ properties: { a: { type: 'Date' } } }, '/properties/a/type', '"Date" is no type of JSON'],
])('a fault has the same message as in a definition: %j', async (schema, pointer, message) => {
  const { faults } = await createExaminer()('t', schema, 'NONE', [])
  expect(faults).toEqual([{ pointer, message: expect.stringContaining(message) }])
})
