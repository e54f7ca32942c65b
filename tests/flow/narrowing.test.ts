/**
 * A version registered over HTTP may require more than the definition does, and never less: code only gets data that
 * fits its schema.
 */
import { createApiKey, createTenant, OPERATOR_TENANT, SCOPES } from '@eventflow/db'
import { registerDefinitions } from '@eventflow/schemas'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

const User = Type.Object({ userId: Type.String(), plan: Type.String({ default: 'free' }) })

/** The data given to the handler of `user.updated`. */
const handled: unknown[] = []

const updated = defineEvent({
  type: 'user.updated',
  schema: User,
  key: ({ userId }) => userId,
  handle: async ({ data }) => {
    handled.push(data)
  },
})

/** The same, validated at ingest. */
const checked = defineEvent({ type: 'user.checked', schema: User, validateAt: 'ingest' })

let pipeline: TestPipeline
const keys: Record<string, string> = {}

beforeAll(async () => {
  pipeline = await startPipeline([updated, checked])
  await createTenant(pipeline.db, 'acme', 'test')
  for (const tenantId of [OPERATOR_TENANT, 'acme']) {
    const { key } = await createApiKey(pipeline.db, { tenantId, name: 'test', scopes: [...SCOPES] }, 'test')
    keys[tenantId] = key
  }
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

async function ask(tenant: string, method: string, path: string, body?: object) {
  const headers = { authorization: `Bearer ${keys[tenant]}`, 'content-type': 'application/json' }
  const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
  const response = await fetch(`${pipeline.url}/v1${path}`, init)
  // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
  return { status: response.status, body: (await response.json()) as any }
}

/** Registers the next version, and returns its number. */
async function register(tenant: string, type: string, schema: object): Promise<number> {
  await ask(tenant, 'PUT', `/schemas/${type}/compatibility`, { compatibility: 'NONE' })
  const { status, body } = await ask(tenant, 'PUT', `/schemas/${type}`, { schema })
  expect(status).toBe(201)
  return body.version
}

const versionOf = (type: string, version: number) => ({ dataschema: `/schemas/${type}/versions/${version}` })

/** Sends an event that names a version of its schema, and returns its outcome. */
async function settled(tenant: string, data: object, version: number) {
  const event = { type: 'user.updated', data, partitionkey: 'one', ...versionOf('user.updated', version) }
  const { id } = (await ask(tenant, 'POST', '/events', event)).body
  return (await ask(tenant, 'GET', `/events/${id}?wait=10s`)).body
}

describe.each([OPERATOR_TENANT, 'acme'])('of the tenant %s', (tenant) => {
  test('a version that requires less lets nothing through to the handler', async () => {
    const version = await register(tenant, 'user.updated', { type: 'object' })
    const before = handled.length
    const { status, failure } = await settled(tenant, { userId: { x: 1 } }, version)
    expect([status, failure.error_class, failure.errors]).toEqual([
      'failed',
      'SchemaError',
      [{ pointer: '/userId', message: 'must be string, by the schema of the definition' }],
    ])
    const lacking = await settled(tenant, {}, version)
    expect(lacking.failure.message).toBe(
      "/userId must have required property 'userId', by the schema of the definition",
    )
    expect(handled).toHaveLength(before)
  })

  test('a version that requires more counts, and both fill in defaults', async () => {
    const properties = { team: { type: 'string', maxLength: 3, default: 'ops' } }
    const version = await register(tenant, 'user.updated', { type: 'object', properties })
    const long = await settled(tenant, { userId: 'u', team: 'a-team' }, version)
    expect(long.failure.errors).toEqual([
      { pointer: '/team', message: `must NOT have more than 3 characters, by version ${version} of the schema` },
    ])
    expect((await settled(tenant, { userId: 'u', extra: 1 }, version)).result).toEqual({
      userId: 'u',
      extra: 1,
      team: 'ops',
      plan: 'free',
    })
    expect(handled.at(-1)).toEqual({ userId: 'u', extra: 1, team: 'ops', plan: 'free' })
  })

  test('defaults of a version are validated, too', async () => {
    const plan = { default: 7 }
    const version = await register(tenant, 'user.updated', { type: 'object', properties: { plan } })
    const { failure } = await settled(tenant, { userId: 'u' }, version)
    expect(failure.message).toBe('/plan must be string, by the schema of the definition')
  })

  test('ingest validates by both', async () => {
    const version = await register(tenant, 'user.checked', { type: 'object', required: ['team'] })
    const send = (data: object) =>
      ask(tenant, 'POST', '/events', { type: 'user.checked', data, ...versionOf('user.checked', version) })
    const errorsOf = async (data: object) => (await send(data)).body.errors
    expect(await errorsOf({ userId: 1, team: 'ops' })).toEqual([
      { pointer: '/data/userId', message: 'must be string, by the schema of the definition' },
    ])
    expect(await errorsOf({ userId: 'u' })).toEqual([
      {
        pointer: '/data/team',
        message: `must have required property 'team', by version ${version} of the schema`,
      },
    ])
    expect((await send({ userId: 'u', team: 'ops' })).status).toBe(202)
  })

  test('a version that nothing can satisfy is refused, with the fields, in every mode', async () => {
    const string = { type: 'string' }
    const field = { type: 'object', properties: { userId: { type: 'integer' }, plan: string }, required: ['userId'] }
    const { status, body } = await ask(tenant, 'PUT', '/schemas/user.updated', { schema: field })
    expect([status, body.code]).toEqual([409, 'schema-incompatible'])
    expect(body.errors).toEqual([
      {
        pointer: '/properties/userId',
        message: 'NOTHING_FITS: no data fits both the new schema and version 1 of the definition',
      },
    ])
    const check = await ask(tenant, 'POST', '/schemas/user.updated/check', {
      schema: { type: 'object', additionalProperties: false },
    })
    expect(check.body).toMatchObject({
      compatible: false,
      compatibility: 'NONE',
      incompatibilities: [{ path: '', rule: 'NOTHING_FITS' }],
    })
  })
})

test('data that fits neither the definition nor its named version has no key, and is accepted', async () => {
  const send = (dataschema: string) =>
    ask('acme', 'POST', '/events', { type: 'user.updated', data: { userId: { x: 1 } }, dataschema })
  const taken = await send('https://example.com/users')
  expect(taken.status).toBe(202)
  const { body } = await ask('acme', 'GET', `/events/${taken.body.id}?wait=10s`)
  expect([body.failure.error_class, body.failure.errors[0].pointer]).toEqual(['SchemaError', '/userId'])
  expect((await send('/schemas/user.updated/versions/1')).status).toBe(422)
})

test('versions over HTTP neither block the next definition nor replace it', async () => {
  const type = 'user.moved'
  const start = (schema: object) =>
    registerDefinitions(pipeline.db, OPERATOR_TENANT, [defineEvent({ type, schema: Type.Unsafe<object>(schema) })])
  const closed = (maxLength: number, ...names: string[]) => ({
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, { type: 'string', maxLength }])),
    additionalProperties: false,
  })
  expect(await start(closed(9, 'to'))).toEqual(new Map([[type, 1]]))
  await register(OPERATOR_TENANT, type, closed(9, 'to', 'from'))
  await register(OPERATOR_TENANT, type, closed(9, 'to', 'from', 'via'))
  await ask(OPERATOR_TENANT, 'PUT', `/schemas/${type}/compatibility`, { compatibility: 'BACKWARD' })
  // The comparison is with version 1, and it gets a new version, although 2 is identical to it.
  expect(await start(closed(9, 'to', 'from'))).toEqual(new Map([[type, 4]]))
  await register(OPERATOR_TENANT, type, closed(3, 'to', 'from'))
  await ask(OPERATOR_TENANT, 'PUT', `/schemas/${type}/compatibility`, { compatibility: 'BACKWARD' })
  await expect(start(closed(5, 'to', 'from'))).rejects.toThrow('not BACKWARD compatible with the registered version 4')
})
