/** Columns in Postgres' binary format: Postgres itself reads back the same values. */
import {
  bigintColumn,
  connect,
  type Db,
  jsonbColumn,
  smallintColumn,
  textColumn,
  timestamptzColumn,
  uuidColumn,
} from '@eventflow/db'
import { createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 2, onIdleError: () => {} })
})

afterAll(() => db.end())

/** The values of a column, as Postgres prints them. */
async function readBack(column: Buffer, type: string): Promise<(string | null)[]> {
  const { rows } = await db.query(`SELECT value::text FROM unnest($1::${type}[]) AS values(value)`, [column])
  return rows.map(({ value }) => value)
}

const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
const orNothing = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined })

/** Checks that the column made of any values reads back as `written` says. */
async function holds<Value>(
  type: string,
  value: fc.Arbitrary<Value>,
  column: (values: Value[]) => Buffer,
  written: (value: Value) => unknown,
): Promise<void> {
  const property = fc.asyncProperty(fc.array(value), async (values) => {
    expect(await readBack(column(values), type)).toEqual(values.map(written))
  })
  await fc.assert(property, { numRuns: 50 })
}

test('texts, of any characters and empty', () => holds('text', orNothing(text), textColumn, (value) => value ?? null))

test('JSON texts, to the letter', () =>
  holds(
    'json',
    fc.json(),
    (values) => textColumn(values, 'json'),
    (value) => value,
  ))

test('jsonb, by its value', async () => {
  const values = [{ a: '\u00e9\u{1f6eb}', b: [1, null] }, 'x'.repeat(100_000), undefined]
  const read = await readBack(jsonbColumn(values.map((value) => JSON.stringify(value))), 'jsonb')
  expect(read.map((value) => (value === null ? undefined : JSON.parse(value)))).toEqual(values)
})

test('UUIDs', () => holds('uuid', fc.uuid(), uuidColumn, (value) => value))

test('integers', async () => {
  await holds('smallint', fc.integer({ min: -32_768, max: 32_767 }), smallintColumn, String)
  const wide = fc.option(fc.maxSafeInteger(), { nil: null })
  await holds('bigint', wide, bigintColumn, (value) => (value === null ? null : String(value)))
})

test('times from the year 1 to 9999', async () => {
  const moment = fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  const property = fc.asyncProperty(fc.array(moment), async (some) => {
    const moments = some.flatMap((at) => [at, at])
    const column = timestamptzColumn(moments.map((at) => at.toISOString()))
    const { rows } = await db.query(
      'SELECT (extract(epoch FROM at) * 1000)::bigint::text AS ms FROM unnest($1::timestamptz[]) AS moments(at)',
      [column],
    )
    expect(rows.map(({ ms }) => Number(ms))).toEqual(moments.map((at) => at.getTime()))
  })
  await fc.assert(property, { numRuns: 50 })
})
