/** Users' statements read exact values: a number that JavaScript would round arrives as text. */
import { asSql, connect, type Db } from '@eventflow/db'
import { createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
})

afterAll(() => db.end())

const read = async (expression: string) => {
  const [row] = await asSql(db).query<{ value: unknown }>(`SELECT ${expression} AS value`)
  return row!.value
}

describe('arrives exactly:', () => {
  test.each([
    ['9007199254740991::bigint', 2 ** 53 - 1],
    ['(-9007199254740991)::bigint', 1 - 2 ** 53],
    ['NULL::bigint', null],
    ['ARRAY[1, NULL, 9007199254740991]::bigint[]', [1, null, 2 ** 53 - 1]],
    ['ARRAY[[1, 2], [3, 4]]::bigint[]', [[1, 2], [3, 4]]], // biome-ignore format: one line a case
    ['12345678901234567890.1::numeric', '12345678901234567890.1'],
    ['ARRAY[0.1, 12345678901234567890.1]::numeric[]', ['0.1', '12345678901234567890.1']],
    ['0.1::float8', 0.1],
    [`'{"n": 9007199254740991, "t": "9007199254740993", "f": 0.1234567890123456}'::jsonb`,
      { n: 2 ** 53 - 1, t: '9007199254740993', f: 0.1234567890123456 }], // biome-ignore format: one line a case
    [`'{"a \\" 12345678901234567890": 1e3}'::json`, { 'a " 12345678901234567890': 1000 }],
  ])('%s', async (expression, value) => {
    expect(await read(expression)).toEqual(value)
  })
})

describe('arrives as text, because JavaScript has no such number:', () => {
  test.each([
    ['9007199254740993::bigint', '9007199254740993'],
    ['(-9223372036854775808)::bigint', '-9223372036854775808'],
    ['ARRAY[[1], [9007199254740993]]::bigint[]', [[1], ['9007199254740993']]],
    [`'{"a": [9007199254740993]}'::jsonb`, { a: ['9007199254740993'] }],
    [`'[1e400]'::json`, ['1e400']],
    [`'0.12345678901234567891'::jsonb`, '0.12345678901234567891'],
    [`ARRAY['[9007199254740993]']::jsonb[]`, [['9007199254740993']]],
  ])('%s', async (expression, value) => {
    expect(await read(expression)).toEqual(value)
  })
})

test('any bigint arrives as the same number or as text, never as another number', () =>
  fc.assert(
    fc.asyncProperty(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), async (sent) => {
      expect(BigInt((await read(`(${sent})::bigint`)) as number | string)).toBe(sent)
    }),
    { numRuns: 50 },
  ))

test('of several statements the rows of the last are returned', async () => {
  expect(await asSql(db).query('SELECT 1 AS n; SELECT 2 AS n')).toEqual([{ n: 2 }])
})
