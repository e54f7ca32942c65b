/** The registry over HTTP: versions that never change, the compatibility of new ones, and what is refused. */
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([])
})

afterAll(() => pipeline.stop())

async function ask(method: string, path: string, body?: unknown) {
  const response = await fetch(`${pipeline.url}/v1/schemas${path}`, {
    method,
    headers: { 'content-type': 'application/json', 'x-operator': 'ada' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
  return { status: response.status, headers: response.headers, body: (await response.json()) as any }
}

const put = (type: string, schema: unknown) => ask('PUT', `/${type}`, { schema })

const closed = (properties: object, rest: object = {}) => ({
  type: 'object',
  properties,
  additionalProperties: false,
  ...rest,
})

const text = { type: 'string' }

test('a version is returned as registered, also when there are newer ones', async () => {
  const [first, second] = [closed({ sku: text }), closed({ sku: text, note: { ...text, maxLength: 5 } })]
  const registered = await put('stock.moved', first)
  expect([registered.status, registered.body]).toEqual([201, { type: 'stock.moved', version: 1 }])
  expect(registered.headers.get('location')).toBe('/v1/schemas/stock.moved/versions/1')
  expect((await put('stock.moved', first)).status).toBe(200)
  expect((await put('stock.moved', second)).body).toEqual({ type: 'stock.moved', version: 2 })

  expect((await ask('GET', '/stock.moved/versions/1')).body).toEqual({
    type: 'stock.moved',
    version: 1,
    schema: first,
    origin: 'api',
    registered_by: 'ada',
    registered_at: expect.any(String),
  })
  const { body: whole } = await ask('GET', '/stock.moved')
  expect(whole).toMatchObject({ compatibility: 'BACKWARD', latest: { version: 2, schema: second } })
  expect(whole.versions.map(({ version }: { version: number }) => version)).toEqual([1, 2])
  expect((await ask('GET', '')).body.items).toContainEqual(
    expect.objectContaining({ type: 'stock.moved', latest: 2, versions: 2, compatibility: 'BACKWARD' }),
  )
})

test('unknown types and versions are 404', async () => {
  for (const path of ['/no.such', '/no.such/versions/1']) {
    expect(await ask('GET', path)).toMatchObject({ status: 404, body: { code: 'schema-not-found' } })
  }
})

test('a version that violates the mode is refused, with the path and the rule, and can be checked before', async () => {
  await put('order.created', closed({ id: text, note: text }))
  const without = closed({ id: text })
  const refused = await put('order.created', without)
  expect(refused).toMatchObject({ status: 409, body: { code: 'schema-incompatible' } })
  expect(refused.body.errors).toEqual([
    {
      pointer: '/properties/note',
      message: 'PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL: data that fits version 1 may not fit the new schema',
    },
  ])
  const check = await ask('POST', '/order.created/check', { schema: without })
  expect(check).toMatchObject({
    status: 200,
    body: {
      compatible: false,
      compatibility: 'BACKWARD',
      incompatibilities: [{ version: 1, direction: 'backward', path: '/properties/note' }],
    },
  })

  expect((await ask('PUT', '/order.created/compatibility', { compatibility: 'FORWARD' })).status).toBe(200)
  expect((await ask('GET', '/order.created/compatibility')).body).toEqual({ compatibility: 'FORWARD' })
  expect((await ask('POST', '/order.created/check', { schema: without })).body.compatible).toBe(true)
  expect((await put('order.created', without)).body.version).toBe(2)
})

test('a schema compared with a version that is no longer the last is compared again', async () => {
  const asked = Array.from({ length: 4 }, (_, n) => put('race', closed({ [`f${n}`]: text })))
  const statuses = (await Promise.all(asked)).map(({ status }) => status)
  expect(statuses.sort()).toEqual([201, 409, 409, 409])
})

test('changes and their authors are in the audit log', async () => {
  await put('audited', closed({}))
  await ask('PUT', '/audited/compatibility', { compatibility: 'NONE' })
  await ask('PUT', '/audited/compatibility', { compatibility: 'NONE' })
  const { rows } = await pipeline.db.query(
    `SELECT tenant_id, actor, action, subject FROM audit_log WHERE subject ~ 'audited' ORDER BY id`,
  )
  expect(rows).toEqual([
    { tenant_id: 'default', actor: 'ada', action: 'register-schema', subject: 'audited version 1' },
    { tenant_id: 'default', actor: 'ada', action: 'set-schema-compatibility', subject: 'NONE for audited' },
  ])
})

describe('refused is', () => {
  const doubling = Object.fromEntries(
    Array.from({ length: 18 }, (_, n) => [
      `d${n}`,
      { allOf: [{ $ref: `#/$defs/d${n + 1}` }, { $ref: `#/$defs/d${n + 1}` }] },
    ]),
  )
  const wide = Object.fromEntries(Array.from({ length: 1_100 }, (_, n) => [`f${n}`, text]))
  test.each<[string, unknown, string]>([
    ['an invalid schema', { type: 'texts' }, ''],
    ['a keyword that is not known', { type: 'object', propertees: {} }, '/propertees'],
    ['$data', { properties: { a: { minimum: { $data: '1/b' } } } }, ''],
    ['a remote $ref', { $ref: 'http://169.254.169.254/latest' }, '/$ref'],
    ['a $ref to nothing', { $ref: '#/$defs/none' }, '/$ref'],
    ['a $ref to itself', { $ref: '#/$defs/a', $defs: { a: { properties: { b: { $ref: '#/$defs/a' } } } } }, ''],
    ['an exponential one', { $ref: '#/$defs/d0', $defs: { ...doubling, d18: {} } }, ''],
    ['a pattern that backtracks', { properties: { a: { pattern: '^(a|a)*$' } } }, '/properties/a/pattern'],
    [
      'a pattern that backtracks without groups',
      { properties: { a: { pattern: '^a*a*a*b$' } } },
      '/properties/a/pattern',
    ],
    ['a pattern that may begin anywhere', { properties: { a: { pattern: 'a+b$' } } }, '/properties/a/pattern'],
    ['uniqueItems without a bound', { properties: { a: { uniqueItems: true } } }, '/properties/a/uniqueItems'],
    ['too many fields', { properties: wide }, ''],
    ['a schema of 70 kB', { description: 'x'.repeat(70_000) }, ''],
    ['another dialect', { $schema: 'http://json-schema.org/draft-07/schema#' }, '/$schema'],
    ['an unsafe format', { properties: { a: { format: 'email' } } }, '/properties/a/format'],
    ['a default that does not fit', { properties: { a: { type: 'string', default: 1 } } }, '/properties/a/default'],
  ])('%s', async (_, schema, pointer) => {
    const { status, body } = await put('evil', schema)
    expect([status, body.code]).toEqual([422, 'schema-refused'])
    expect(body.errors[0].pointer.startsWith(pointer)).toBe(true)
  })

  test('a number that would be rounded, with the exact form', async () => {
    const response = await fetch(`${pipeline.url}/v1/schemas/a.b`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: '{"schema":{"type":"object","properties":{"n":{"minimum":9007199254740993}}}}',
    })
    expect([response.status, ((await response.json()) as { errors: unknown }).errors]).toEqual([
      400,
      [
        {
          pointer: '/schema/properties/n/minimum',
          message: expect.stringMatching(/lose precision.* up to 9007199254740991, are exact$/),
        },
      ],
    ])
  })

  test('a body that does not fit the route', async () => {
    for (const body of [{}, { schema: [] }, { schema: {}, more: 1 }, { schema: { title: 'a\0' } }]) {
      expect((await ask('PUT', '/evil', body)).status).toBe(400)
    }
    expect((await ask('PUT', '/evil/compatibility', { compatibility: 'SIDEWAYS' })).status).toBe(400)
    expect((await ask('GET', '/evil/versions/0')).status).toBe(400)
  })
})
