/** The OpenAPI document as a contract: its examples work, and an undocumented answer is detected. */
import { join } from 'node:path'
import { registerGroups } from '@eventflow/db'
import { loadDefinitions } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { type Answer, type Contract, createCheck, type Document, readContract } from '../contract.js'

const SAMPLES = join(import.meta.dirname, '../../../packages/samples/dist/events')

let pipeline: TestPipeline
let contract: Contract

beforeAll(async () => {
  pipeline = await startPipeline([...(await loadDefinitions(SAMPLES)).events.values()])
  contract = await readContract(pipeline.url)
  await registerGroups(pipeline.db, [{ name: 'invoicing', version: 1, types: ['shelf.filled'], from: 'latest' }])
})

afterAll(() => pipeline.stop())

test('the schemas of all requests and answers can be compiled, also those that the service has not needed yet', () => {
  const { paths, components } = contract.document as Document & { components: object }
  const schemas = new Set(schemasIn(paths).map((schema) => JSON.stringify(schema)))
  expect(schemas.size).toBeGreaterThan(100)
  const ajv = new Ajv2020({ strict: false })
  addFormats.default(ajv)
  for (const schema of schemas) ajv.compile({ ...JSON.parse(schema), components })
})

/** Everything that is called `schema`. */
function schemasIn(node: object): object[] {
  return Object.entries(node).flatMap(([name, value]) =>
    value === null || typeof value !== 'object' ? [] : name === 'schema' ? [value] : schemasIn(value),
  )
}

test('the example of every body works when it is pasted', async () => {
  // biome-ignore lint/suspicious/noExplicitAny: an example may have any shape.
  type Content = { example?: any; examples?: Record<string, { value: any }> }
  const examples = Object.entries(contract.document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { requestBody }]) => {
      const { content = {} } = (requestBody ?? {}) as { content?: Record<string, Content> }
      return Object.entries(content).flatMap(([type, { example, examples }]) =>
        (examples ? Object.values(examples).map(({ value }) => value) : [example]).map((body) => ({
          ...{ method: method.toUpperCase(), path, type, body },
        })),
      )
    }),
  )
  const statuses = new Map<string, number>()
  for (const { method, path, type, body } of examples) {
    expect([method, path, typeof body]).not.toContain('undefined')
    const init = {
      method,
      headers: { 'content-type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    }
    const group = path.endsWith('/positions') ? 'billing' : 'invoicing'
    const named = path.replace('{type}', 'shelf.filled').replace('{id}', 'none').replace('{name}', group)
    const { status } = await contract.ask(named, init)
    statuses.set(`${method} ${path}`, status)
  }
  expect(Object.fromEntries(statuses)).toEqual({
    'POST /v1/events': 202,
    'POST /v1/events/batch': 200,
    'POST /v1/dead-letters/replay': 200,
    'POST /v1/dead-letters/discard': 200,
    'POST /v1/events/replay': 200,
    'POST /v1/groups/{name}/pause': 200,
    'POST /v1/groups/{name}/resume': 200,
    'POST /v1/groups/{name}/reset': 200,
    'POST /v1/groups/{name}/dead-letters/replay': 200,
    'POST /v1/groups/{name}/dead-letters/discard': 200,
    'POST /v1/keys': 201,
    'PUT /v1/schemas/{type}': 201,
    'POST /v1/schemas/{type}/check': 200,
    'PUT /v1/schemas/{type}/compatibility': 200,
    'PUT /v1/groups/{name}/positions': 201,
    // No event waits.
    'POST /v1/waiting/{id}/skip': 409,
  })
})

describe('an answer is detected', () => {
  const headers = (given: Record<string, string>) => new Headers({ 'content-type': 'application/json', ...given })
  const good: Answer = {
    status: 202,
    headers: headers({ location: '/v1/events/1' }),
    text: '',
    body: { id: '0190b2c4-0000-7000-8000-000000000000', status: 'accepted', duplicate: false },
  }
  const problem = { type: 'a', title: 'b', status: 409, code: 'event-conflict', detail: 'c' }
  const asProblem = headers({ 'content-type': 'application/problem+json' })
  const check =
    (answer: Answer, path = '/v1/events') =>
    () =>
      createCheck(contract.document)('POST', path, answer)

  test('unless it is documented', () => {
    expect(check(good)).not.toThrow()
    expect(check({ ...good, status: 409, headers: asProblem, body: problem })).not.toThrow()
  })

  test.each<[string, Partial<Answer>]>([
    ['whose status is not documented', { status: 206 }],
    ['whose content type is not', { headers: new Headers({ location: '/', 'content-type': 'text/html' }) }],
    ['that lacks a header', { headers: headers({}) }],
    ['that lacks a field', { body: { id: good.body.id, status: 'accepted' } }],
    ['with a field of another form', { body: { ...good.body, id: 'one' } }],
    [
      'with a code of another route',
      { status: 409, headers: asProblem, body: { ...problem, code: 'schema-incompatible' } },
    ],
  ])('%s', (_, changes) => {
    expect(check({ ...good, ...changes })).toThrow(/not documented|missing|must/)
  })

  test('to a route that is not documented', () => {
    expect(check(good, '/v1/nothing')).toThrow('no such route is documented')
  })
})
