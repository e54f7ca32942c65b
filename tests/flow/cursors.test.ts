/**
 * Cursors: they lead from page to page only of the list and the tenant that they were issued for, and reveal nothing.
 */
import { createApiKey, createTenant, SCOPES } from '@eventflow/db'
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const refused = defineEvent({
  type: 'refused',
  schema: Type.Object({}),
  async handle() {
    throw new PermanentError('is refused')
  },
})

const LISTS = ['events', 'dead-letters', 'audit-log'] as const
const TENANTS = ['ours', 'theirs'] as const
type Tenant = (typeof TENANTS)[number]

/** Items of each list and tenant. */
const ITEMS = 5

let pipeline: TestPipeline
const keys = {} as Record<Tenant, string>

async function ask(tenant: Tenant, method: string, path: string, body?: object) {
  const headers = { authorization: `Bearer ${keys[tenant]}`, ...(body && { 'content-type': 'application/json' }) }
  const response = await fetch(`${pipeline.url}/v1/${path}`, {
    ...{ method, headers },
    ...(body && { body: JSON.stringify(body) }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answer.
  return { status: response.status, body: (await response.json()) as any }
}

beforeAll(async () => {
  pipeline = await startPipeline([refused], { EVENTFLOW_AUTH: 'required' })
  for (const tenantId of TENANTS) {
    await createTenant(pipeline.db, tenantId, 'test')
    keys[tenantId] = (await createApiKey(pipeline.db, { tenantId, name: '0', scopes: [...SCOPES] }, 'test')).key
  }
  // The numbers of the two tenants interleave.
  for (let n = 1; n <= ITEMS; n++) {
    for (const tenant of TENANTS) {
      await ask(tenant, 'POST', 'events', { type: 'refused', id: `${n}`, data: {} })
      await ask(tenant, 'POST', 'keys', { name: `${n}`, scopes: ['read'] })
    }
  }
  await pipeline.startWorker()
  await pipeline.drained()
})

afterAll(() => pipeline.stop())

test.each(LISTS)('%s are listed to the end, each item once', async (list) => {
  const all = (await ask('ours', 'GET', `${list}?limit=100`)).body
  expect(all.next).toBeNull()
  const items: unknown[] = []
  for (let cursor = ''; ; ) {
    const { body } = await ask('ours', 'GET', `${list}?limit=2${cursor}`)
    items.push(...body.items)
    if (body.next === null) break
    cursor = `&cursor=${body.next}`
  }
  expect(items.length).toBeGreaterThanOrEqual(ITEMS)
  expect(items).toEqual(all.items)
})

test.each(LISTS)('the cursor of %s has the same form for every page, and differs each time', async (list) => {
  const cursors: string[] = []
  for (const limit of [1, 1, 3]) cursors.push((await ask('ours', 'GET', `${list}?limit=${limit}`)).body.next)
  expect(new Set(cursors).size).toBe(3)
  for (const cursor of cursors) expect(cursor).toMatch(/^[\w-]{48}$/)
  // Two cursors of the same page agree in no more bytes than by chance.
  const [one, other] = cursors.map((cursor) => Buffer.from(cursor, 'base64url'))
  expect(one!.filter((byte, i) => byte === other![i]).length).toBeLessThan(8)
})

test.each(LISTS)('%s accept only their own cursors: damaged, foreign or old ones are refused', async (list) => {
  const { next } = (await ask('ours', 'GET', `${list}?limit=1`)).body
  expect((await ask('ours', 'GET', `${list}?cursor=${next}`)).status).toBe(200)
  const ofOthers = await Promise.all([
    ask('theirs', 'GET', `${list}?limit=1`),
    ...LISTS.filter((other) => other !== list).map((other) => ask('ours', 'GET', `${other}?limit=1`)),
  ])
  const changed = [0, 20, 47].map((at) => next.slice(0, at) + (next[at] === 'A' ? 'B' : 'A') + next.slice(at + 1))
  const cursors = [
    ...ofOthers.map(({ body }) => body.next),
    ...changed,
    next.slice(0, -1),
    `${next}A`,
    ...['', '0', '12', '999999999999999', 'x'.repeat(48)],
  ]
  for (const cursor of cursors) {
    const { status, body } = await ask('ours', 'GET', `${list}?cursor=${cursor}`)
    expect([cursor, status, body.code, body.errors[0].pointer]).toEqual([cursor, 400, 'invalid-query', '/cursor'])
    expect(body.detail).toMatch('not a `next` of this list')
  }
})
