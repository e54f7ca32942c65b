/** What tenants share: whatever one of them asks for, and however often, is bounded, and another is answered all the time. */
import { createApiKey, createTenant, SCOPES, type Scope } from '@eventflow/db'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
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

async function keyOf(tenantId: string, scopes: Scope[] = [...SCOPES]): Promise<string> {
  const { key } = await createApiKey(pipeline.db, { tenantId, name: 'test', scopes }, 'test')
  return key
}

function ask(tenant: string, method: string, path: string, body?: object): Promise<Answer> {
  const headers = { authorization: `Bearer ${keys[tenant]}`, ...(body && { 'content-type': 'application/json' }) }
  return contract.ask(path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
}

/** Asks for the same many times at once. Resolves when all but so many are answered, as those that are under way may be. */
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

/** One of everything that a tenant may want. */
async function expectAnswers(tenant: string): Promise<void> {
  const event = { type: 'note', data: {} }
  expect((await ask(tenant, 'POST', '/v1/events', event)).status).toBe(202)
  expect((await ask(tenant, 'POST', '/v1/events/batch', [event, event])).status).toBe(200)
  for (const path of ['schemas', 'audit-log', 'operations', 'keys', 'schemas/none/usage']) {
    expect([path, (await ask(tenant, 'GET', `/v1/${path}`)).status]).toEqual([path, 200])
  }
  expect((await ask(tenant, 'POST', '/v1/schemas/note/check', { schema: { type: 'object' } })).status).toBe(200)
  expect((await ask(tenant, 'POST', '/v1/keys', { name: 'one more', scopes: ['read'] })).status).toBe(201)
}

test('reads that take long hold up their tenant only, and nobody’s events', async () => {
  const client = await pipeline.db.connect()
  try {
    // No read of dead letters comes to an end.
    await client.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE failed_events')
    const { refused, all } = await flood(300, 3 + 200, () =>
      ask('greedy', 'GET', '/v1/dead-letters?group=true&status=all'),
    )
    expect(codesOf(refused)).toEqual(new Set(['429 too-many-requests']))
    expect(refused[0]!.headers.get('retry-after')).toBe('1')
    await expectAnswers('modest')
    for (const path of ['/readyz', '/livez']) expect((await fetch(pipeline.url + path)).status).toBe(200)
    expect((await ask('greedy', 'POST', '/v1/events', { type: 'note', data: {} })).status).toBe(202)
    await client.query('ROLLBACK')
    // Those that waited for the lock for too long are told so.
    expect([...codesOf(await all)].sort()).toEqual(expect.arrayContaining(['200 undefined', '429 too-many-requests']))
  } finally {
    client.release(true)
  }
  await expectAnswers('greedy')
})

test('schemas are examined in turn: one tenant’s many do not keep another’s from it', async () => {
  const check = () => ask('greedy', 'POST', '/v1/schemas/note/check', { schema: { type: 'object' } })
  const { refused, all } = await flood(25, 11, check)
  expect(codesOf(refused.filter(({ status }) => status !== 200))).toEqual(new Set(['429 too-many-requests']))
  await expectAnswers('modest')
  expect(codesOf(await all)).toEqual(new Set(['200 undefined', '429 too-many-requests']))
})
