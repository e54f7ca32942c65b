/** Shared resources: all requests of one tenant are bounded, and another tenant is answered all the time. */
import { createApiKey, createTenant, SCOPES, type Scope } from '@eventflow/db'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { type Answer, type Contract, readContract } from '../contract.js'

let pipeline: TestPipeline
let contract: Contract
const keys: Record<string, string> = {}

beforeAll(async () => {
  pipeline = await startPipeline([], { EVENTFLOW_AUTH: 'required' })
  contract = await readContract(pipeline.url)
  for (const tenant of ['greedy', 'modest']) {
    await createTenant(pipeline.db, tenant, 'test')
    keys[tenant] = await keyOf(tenant)
  }
})

afterAll(() => pipeline.stop())

/** Hundreds of requests on a busy machine, in milliseconds. */
jest.setTimeout(120_000)

async function keyOf(tenantId: string, scopes: Scope[] = [...SCOPES]): Promise<string> {
  const { key } = await createApiKey(pipeline.db, { tenantId, name: 'test', scopes }, 'test')
  return key
}

function ask(tenant: string, method: string, path: string, body?: object): Promise<Answer> {
  const headers = { authorization: `Bearer ${keys[tenant]}`, ...(body && { 'content-type': 'application/json' }) }
  return contract.ask(path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
}

/** Sends the same request many times at once. Resolves when all but `waiting` are answered. */
async function flood(times: number, waiting: number, request: () => Promise<Answer>) {
  const answers: Answer[] = []
  let told = () => {}
  const bounded = new Promise<void>((resolve) => {
    told = resolve
  })
  const all = Promise.all(
    Array.from({ length: times }, async () => {
      answers.push(await request())
      if (answers.length >= times - waiting) told()
    }),
  )
  await bounded
  return { refused: [...answers], all: all.then(() => answers) }
}

const codesOf = (answers: readonly Answer[]) => new Set(answers.map(({ status, body }) => `${status} ${body.code}`))

/** One of every kind of request. */
async function expectAnswers(tenant: string): Promise<void> {
  const event = { type: 'note', data: {} }
  expect((await ask(tenant, 'POST', '/v1/events', event)).status).toBe(202)
  expect((await ask(tenant, 'POST', '/v1/events/batch', [event, event])).status).toBe(200)
  for (const path of ['schemas', 'audit-log', 'operations', 'keys', 'schemas/none/usage']) {
    expect([path, (await ask(tenant, 'GET', `/v1/${path}`)).status]).toEqual([path, 200])
  }
  // On a busy machine it may take too long, which is 422.
  const checked = await ask(tenant, 'POST', '/v1/schemas/note/check', { schema: { type: 'object' } })
  expect([200, 422]).toContain(checked.status)
  expect((await ask(tenant, 'POST', '/v1/keys', { name: 'one more', scopes: ['read'] })).status).toBe(201)
}

test('slow reads hold up only their own tenant, and no events', async () => {
  const client = await pipeline.db.connect()
  try {
    // No read of dead letters completes.
    await client.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE failed_events')
    const { refused, all } = await flood(560, 3 + 500, () =>
      ask('greedy', 'GET', '/v1/dead-letters?group=true&status=all'),
    )
    // If that took long, the first ones have exceeded the lock timeout.
    const tooMany = refused.filter(({ status }) => status === 429)
    expect(tooMany.length).toBeGreaterThan(50)
    expect(refused.map(({ status }) => status)).toEqual(refused.map(({ status }) => (status === 503 ? 503 : 429)))
    expect(tooMany[0]!.headers.get('retry-after')).toBe('1')
    await expectAnswers('modest')
    for (const path of ['/readyz', '/livez']) expect((await fetch(pipeline.url + path)).status).toBe(200)
    expect((await ask('greedy', 'POST', '/v1/events', { type: 'note', data: {} })).status).toBe(202)
    await client.query('ROLLBACK')
    expect([...codesOf(await all)]).toEqual(expect.arrayContaining(['200 undefined', '429 too-many-requests']))
  } finally {
    client.release(true)
  }
  await expectAnswers('greedy')
})

test('schemas are examined in turns: one tenant’s many do not hold up another’s', async () => {
  const check = () => ask('greedy', 'POST', '/v1/schemas/note/check', { schema: { type: 'object' } })
  const { refused, all } = await flood(25, 11, check)
  expect(codesOf(refused)).toContain('429 too-many-requests')
  await expectAnswers('modest')
  const statuses = (await all).map(({ status }) => status)
  for (const status of statuses) expect([200, 422, 429]).toContain(status)
})

const idOf = async (tenant: string): Promise<string> =>
  (await ask(tenant, 'POST', '/v1/events', { type: 'note', data: {} })).body.id

test('waits for an event are limited for each tenant, and another one can still wait', async () => {
  const [id, other] = [await idOf('greedy'), await idOf('modest')]
  const waiting: Promise<Answer>[] = []
  for (let batch = 0; batch < 6; batch++) {
    for (let n = 0; n < 50; n++) waiting.push(ask('greedy', 'GET', `/v1/events/${id}?wait=60s`))
    // It has its turn after those, which by then wait for the event and for no turn.
    await ask('greedy', 'GET', `/v1/events/${id}`)
  }
  expect((await ask('modest', 'GET', `/v1/events/${other}?wait=1ms`)).status).toBe(200)
  const worker = await pipeline.startWorker()
  const answers = await Promise.all(waiting)
  await pipeline.drained()
  await worker.stop()
  expect(codesOf(answers)).toEqual(new Set(['200 undefined', '429 too-many-requests']))
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(50)
})

/** Brings the one tenant to its limit of something, and returns the answers to one more of either tenant. */
async function oneMore(fill: string, method: string, path: string, body: object): Promise<Answer[]> {
  await pipeline.db.query(fill)
  return [await ask('greedy', method, path, body), await ask('modest', method, path, body)]
}

const expectLimit = ([refused, taken]: Answer[], detail: string) => {
  expect(refused).toMatchObject({ status: 409, body: { code: 'limit-reached', detail } })
  expect([taken!.status < 300, taken!.body]).toEqual([true, expect.anything()])
}

test('the number of objects of a tenant is limited, which does not affect another', async () => {
  const replay = { filter: { key: 'none' } }
  const operations = `
    INSERT INTO operations (tenant_id, kind, filter, rate, requested_by, total, after_seq, until_seq, alive_at)
    SELECT 'greedy', 'replay-dead-letters', '{}', 1, 'test', 1, 0, 1, now() + interval '1 hour' FROM generate_series(1, 10)`
  const detail = 'A tenant may have 10 running operations: wait until one has finished, or cancel one'
  expectLimit(await oneMore(operations, 'POST', '/v1/dead-letters/replay', replay), detail)
  const running = (await ask('greedy', 'GET', '/v1/operations')).body.items
  for (const { id } of running) await ask('greedy', 'POST', `/v1/operations/${id}/cancel`)
  expect((await ask('greedy', 'POST', '/v1/dead-letters/replay', replay)).status).toBe(202)

  const newKeys = `
    INSERT INTO api_keys (key_id, tenant_id, name, hash, scopes)
    SELECT 'key' || n, 'greedy', 'test', '', '{read}'
    FROM generate_series(1, 1000 - (SELECT count(*) FROM api_keys WHERE tenant_id = 'greedy')::integer) n`
  const key = { name: 'one more', scopes: ['read'] }
  const keyDetail = 'A tenant may have 1000 valid keys: revoke an unused one'
  expectLimit(await oneMore(newKeys, 'POST', '/v1/keys', key), keyDetail)
  expect((await ask('greedy', 'DELETE', '/v1/keys/key1')).status).toBe(200)
  expect((await ask('greedy', 'POST', '/v1/keys', key)).status).toBe(201)

  const versions = `
    INSERT INTO event_schemas (tenant_id, type, version, schema, origin, registered_by)
    SELECT 'greedy', 'type' || n, 1, '{}', 'api', 'test' FROM generate_series(1, 2000) n`
  const schema = { schema: { type: 'object' } }
  expectLimit(await oneMore(versions, 'PUT', '/v1/schemas/more', schema), 'A tenant may have 2000 schema versions')

  const modes = `
    INSERT INTO event_schema_modes (tenant_id, type, compatibility)
    SELECT 'greedy', 'type' || n, 'NONE' FROM generate_series(1, 2000) n`
  const asked = ['PUT', '/v1/schemas/more/compatibility', { compatibility: 'NONE' }] as const
  expectLimit(await oneMore(modes, ...asked), 'A tenant may have 2000 types with their own mode')
})

test('a replay waits while too many events of its tenant wait for another attempt, not while another’s do', async () => {
  await pipeline.db.query(`
    INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
    SELECT 'greedy', gen_random_uuid(), 1e9 + n, 0, 1, now() + interval '1 day' FROM generate_series(1, 10000) n`)
  const replay = async (tenant: string) =>
    `/v1/operations/${(await ask(tenant, 'POST', '/v1/dead-letters/replay', { filter: {}, rate: 10_000 })).body.id}`
  const [held, path] = [await replay('greedy'), await replay('modest')]
  await until('the one has finished', async () => (await ask('modest', 'GET', path)).body.status === 'finished')
  expect((await ask('modest', 'GET', path)).body.done).toBeGreaterThan(0)
  expect((await ask('greedy', 'GET', held)).body).toMatchObject({ status: 'running', done: 0 })
})
