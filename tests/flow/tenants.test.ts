/** Two tenants on one installation: whatever the one asks for, by whatever route, it gets nothing of the other. */
import { createApiKey, createTenant, SCOPES } from '@eventflow/db'
import { defineEvent, PermanentError, Type } from '@eventflow/pipeline'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

/** Refuses what is bad, and never gets on with what is sad. */
const step = defineEvent({
  type: 'step',
  schema: Type.Object({ secret: Type.String(), mood: Type.Optional(Type.String()) }),
  retry: { attempts: 5, baseDelayMs: 86_400_000, maxDelayMs: 86_400_000 },
  async handle({ data }) {
    if (data.mood === 'bad') throw new PermanentError(`${data.secret} is refused`)
    if (data.mood === 'sad') throw new Error(`${data.secret} is not to be had`)
  },
})

const TENANTS = ['ours', 'theirs'] as const
type Tenant = (typeof TENANTS)[number]
const other = (tenant: Tenant) => TENANTS.find((name) => name !== tenant)!

/** The same ids, keys and correlation ids for both; only what is in them differs. */
const eventsOf = (tenant: Tenant) =>
  ['fine', 'bad', 'sad', 'behind'].map((mood) => ({
    type: 'step',
    id: mood,
    partitionkey: mood === 'behind' ? 'sad' : mood,
    correlationid: 'together',
    data: { secret: `secret of ${tenant}`, mood },
  }))

interface Answer {
  status: number
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever is answered.
  body: any
}

let pipeline: TestPipeline
const keys = {} as Record<Tenant, { id: string; key: string }>
const made = {} as Record<Tenant, { eventIds: string[]; operationId: string; keyId: string }>

async function ask(tenant: Tenant, method: string, path: string, sent?: object): Promise<Answer> {
  const headers = { authorization: `Bearer ${keys[tenant].key}`, ...(sent && { 'content-type': 'application/json' }) }
  const init = { method, headers, ...(sent && { body: JSON.stringify(sent) }) }
  const response = await fetch(`${pipeline.url}${path}`, init)
  const text = await response.text()
  return { status: response.status, text, body: text === '' ? undefined : JSON.parse(text) }
}

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_AUTH: 'required' })
  await pipeline.startWorker()
  for (const tenant of TENANTS) {
    await createTenant(pipeline.db, tenant, 'test')
    const asked = { tenantId: tenant, name: `secret of ${tenant}`, scopes: [...SCOPES] }
    keys[tenant] = await createApiKey(pipeline.db, asked, 'test')
    const { body } = await ask(tenant, 'POST', '/v1/events/batch', eventsOf(tenant))
    const eventIds = body.items.map(({ id }: { id: string }) => id)
    await until('they have come as far as they can', async () => {
      const { rows } = await pipeline.db.query('SELECT status FROM events WHERE tenant_id = $1 ORDER BY seq', [tenant])
      // A worker that has just begun with the partition puts the last one aside, with no attempt of its own.
      return /^processed,failed,retrying,(accepted|retrying)$/.test(rows.map(({ status }) => status).join())
    })
    const replay = { filter: { type: 'step' }, rate: 1, reason: `secret of ${tenant}` }
    const operation = await ask(tenant, 'POST', '/v1/dead-letters/replay', { ...replay, filter: { key: 'none' } })
    const schema = { type: 'object', description: `secret of ${tenant}` }
    expect((await ask(tenant, 'PUT', '/v1/schemas/step', { schema })).status).toBe(201)
    const key = await ask(tenant, 'POST', '/v1/keys', { name: `secret of ${tenant}`, scopes: ['ingest'] })
    made[tenant] = { eventIds, operationId: operation.body.id, keyId: key.body.id }
  }
})

afterAll(() => pipeline.stop())

test('ids are the tenant’s own: the same ones came twice and were accepted twice', () => {
  const [ours, theirs] = TENANTS.map((tenant) => made[tenant].eventIds)
  expect(ours!.filter((id) => theirs!.includes(id))).toEqual([])
})

/** Every question that can be asked, with everything in it that belongs to the other tenant. */
function questions(tenant: Tenant): [method: string, path: string, body?: object][] {
  const { eventIds, operationId, keyId } = made[other(tenant)]
  const id = eventIds[1]!
  const filters = ['', '&type=step', '&key=bad', '&key=sad', '&from=2001-01-01T00:00:00Z']
  return [
    ...eventIds.flatMap((id): [string, string][] => [
      ['GET', `/v1/events/${id}`],
      ['GET', `/v1/events/${id}?wait=1ms`],
      ['GET', `/v1/events?id=${id}`],
      ['GET', `/v1/dead-letters/${id}`],
    ]),
    ...filters.map((filter): [string, string] => ['GET', `/v1/events?limit=100${filter}`]),
    ...['accepted', 'retrying', 'processed', 'failed', 'discarded'].map((status): [string, string] => [
      'GET',
      `/v1/events?status=${status}`,
    ]),
    ['GET', '/v1/events?correlation_id=together'],
    ...filters.map((filter): [string, string] => ['GET', `/v1/dead-letters?status=all${filter}`]),
    ['GET', '/v1/dead-letters?group=true&status=all'],
    ['GET', '/v1/waiting'],
    ['GET', '/v1/operations'],
    ['GET', `/v1/operations/${operationId}`],
    ['GET', '/v1/audit-log'],
    ['GET', '/v1/keys'],
    ['GET', '/v1/event-types'],
    ['GET', '/v1/schemas'],
    ['GET', '/v1/schemas/step'],
    ['GET', '/v1/schemas/step/versions/1'],
    ['GET', '/v1/schemas/step/usage'],
    ['POST', '/v1/schemas/step/check', { schema: { type: 'object' } }],
    ['GET', '/v1/live'],
    ['GET', '/metrics/summary'],
    ['GET', '/metrics/summary?counts=true'],
    ['POST', '/v1/dead-letters/replay', { filter: { ids: eventIds }, dry_run: true }],
    ['POST', '/v1/dead-letters/replay', { filter: { ids: eventIds } }],
    ['POST', '/v1/dead-letters/discard', { filter: { ids: eventIds }, reason: 'theirs' }],
    ['POST', '/v1/events/replay', { filter: { ids: eventIds }, dry_run: true }],
    ['POST', '/v1/events/replay', { filter: { ids: eventIds } }],
    ['POST', `/v1/operations/${operationId}/resume`],
    ['POST', `/v1/operations/${operationId}/cancel`],
    ['POST', `/v1/waiting/${eventIds[2]}/skip`, { reason: 'theirs' }],
    ['DELETE', `/v1/keys/${keyId}`],
    ['POST', '/v1/events', { ...eventsOf(tenant)[0], id }],
  ]
}

const stateOf = async (tenant: Tenant) => {
  const read = async (text: string) => (await pipeline.db.query(text, [tenant])).rows
  return {
    events: await read('SELECT * FROM events WHERE tenant_id = $1 ORDER BY seq'),
    operations: await read('SELECT id, status, done FROM operations WHERE tenant_id = $1 ORDER BY id'),
    audit: await read('SELECT * FROM audit_log WHERE tenant_id = $1 ORDER BY id'),
    keys: await read('SELECT key_id, revoked_at FROM api_keys WHERE tenant_id = $1 ORDER BY key_id'),
  }
}

describe.each(TENANTS)('with a key of %s', (tenant) => {
  test('no answer says anything of the other, and nothing of the other changes', async () => {
    const before = await stateOf(other(tenant))
    const { eventIds, operationId, keyId } = made[other(tenant)]
    const theirs = [`secret of ${other(tenant)}`, ...eventIds, operationId, keyId, keys[other(tenant)].id]
    for (const [method, path, body] of questions(tenant)) {
      const { status, text } = await ask(tenant, method, path, body)
      // What was asked for may be repeated.
      const said = theirs.filter((text) => !path.includes(text) && !JSON.stringify(body ?? '').includes(text))
      expect([method, path, status < 500, said.filter((theirs) => text.includes(theirs))]).toEqual([
        method,
        path,
        true,
        [],
      ])
    }
    await until('its operations are over', async () => {
      const { body } = await ask(tenant, 'GET', '/v1/operations')
      return body.items.every((operation: { status: string }) => operation.status !== 'running')
    })
    expect(await stateOf(other(tenant))).toEqual(before)
  })

  test('what is asked for by id is not there, as if it never was', async () => {
    const { eventIds, operationId, keyId } = made[other(tenant)]
    const statuses = [
      ask(tenant, 'GET', `/v1/dead-letters/${eventIds[1]}`),
      ask(tenant, 'GET', `/v1/operations/${operationId}`),
      ask(tenant, 'DELETE', `/v1/keys/${keyId}`),
    ]
    expect((await Promise.all(statuses)).map(({ status }) => status)).toEqual([404, 404, 404])
  })

  test('its own things are all there', async () => {
    const { eventIds, operationId, keyId } = made[tenant]
    const events = await Promise.all(eventIds.map((id) => ask(tenant, 'GET', `/v1/events/${id}`)))
    expect(events.map(({ body }) => body.data.secret)).toEqual(eventIds.map(() => `secret of ${tenant}`))
    expect((await ask(tenant, 'GET', '/v1/dead-letters?status=all')).body.items).toHaveLength(1)
    expect((await ask(tenant, 'GET', '/v1/waiting')).body.items).toMatchObject([{ partitionkey: 'sad', behind: 1 }])
    expect((await ask(tenant, 'GET', `/v1/operations/${operationId}`)).status).toBe(200)
    expect((await ask(tenant, 'GET', '/v1/keys')).text).toContain(keyId)
  })

  test('the pipeline as a whole is not shown', async () => {
    expect((await ask(tenant, 'GET', '/v1/live')).body).toMatchObject({ code: 'forbidden' })
    expect((await ask(tenant, 'GET', '/metrics/summary')).body).toMatchObject({ code: 'forbidden' })
  })
})
