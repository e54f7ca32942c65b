/**
 * The audit log: every route that changes something for others leaves one row with who, what and when; others leave
 * none.
 */
import { createApiKey, createTenant, registerGroups, SCOPES, setQuota } from '@eventflow/db'
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Answer, type Contract, readContract } from '../contract.js'

const step = defineEvent({
  type: 'step',
  schema: Type.Object({ mood: Type.String() }),
  retry: { attempts: 5, baseDelayMs: 86_400_000, maxDelayMs: 86_400_000 },
  async handle({ data }) {
    if (data.mood === 'bad') throw new PermanentError('refused')
    if (data.mood === 'sad') throw new Error('not to be had')
  },
})

let pipeline: TestPipeline
let contract: Contract
let key: { id: string; key: string }
/** The ids of the events, by their moods. */
let ids: Record<string, string>

async function ask(route: string, body: object = {}): Promise<Answer> {
  const [method, path] = route.split(' ') as [string, string]
  const headers = { authorization: `Bearer ${key.key}`, 'content-type': 'application/json', 'x-operator': 'ada' }
  return contract.ask(path, { method, headers, body: JSON.stringify(body) })
}

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_AUTH: 'required' })
  contract = await readContract(pipeline.url)
  key = await createApiKey(pipeline.db, { tenantId: 'default', name: 'ada', scopes: [...SCOPES] }, 'test')
  await pipeline.startWorker()
  const moods = ['bad', 'bad', 'fine', 'sad']
  const events = moods.map((mood, n) => ({ type: 'step', partitionkey: `${n}`, data: { mood } }))
  const { items } = (await ask('POST /v1/events/batch', events)).body
  ids = Object.fromEntries(moods.map((mood, n) => [mood, items[n].id]))
  await until('they have come as far as they can', async () => {
    const { rows } = await pipeline.db.query('SELECT status FROM events ORDER BY seq')
    return rows.map(({ status }) => status).join() === 'failed,failed,processed,retrying'
  })
  await ask('PUT /v1/groups/billing/positions', { from: 'earliest' })
  await registerGroups(pipeline.db, [{ name: 'invoicing', version: 1, types: ['step'], from: 'latest' }])
  for (const [offset, key] of ['replayed', 'discarded'].entries()) {
    // Replayed are those whose events are in the log.
    await pipeline.db.query(
      `INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
         failure_type, error_class, message, errors, component, attempts, history, worker_id, correlation_id, accepted_at)
       SELECT group_id, p.seq + $1, partition, position, p.tenant_id, event_id, type, $2, payload, 'permanent', 'Error', 'm',
              '[]', 'handle', 1, '[]', 'w', correlation_id, accepted_at
       FROM processed_events p, consumer_groups`,
      [offset, key],
    )
  }
})

afterAll(() => pipeline.stop())

/** Runs something; returns its result with the new rows of the audit log. */
async function audited<Result>(work: () => Promise<Result>) {
  const { rows: before } = await pipeline.db.query(
    'SELECT coalesce(max(id), 0) AS id, clock_timestamp() AS at FROM audit_log',
  )
  const result = await work()
  const { rows } = await pipeline.db.query(
    `SELECT tenant_id, actor, action, subject, filter, count, reason, operation_id, at BETWEEN $2 AND clock_timestamp() AS now
     FROM audit_log WHERE id > $1 ORDER BY id`,
    [before[0].id, before[0].at],
  )
  return { result, rows }
}

/** Made by the first rows of the table, for the later ones: an operation and an API key. */
let operation: string
let made: string

/** Each route that changes something for others: a request, its expected row, and a request that leaves none. */
const CHANGES: [
  route: string,
  request: () => object | undefined,
  row: (answer: Answer) => object,
  idle: () => [string, object?],
][] = [
  [
    'POST /v1/keys',
    () => ({ name: 'checkout', scopes: ['ingest', 'read'] }),
    ({ body }) => ({ action: 'create-key', subject: `key ${body.id} checkout (ingest, read)` }),
    () => ['POST /v1/keys', { name: 'checkout', scopes: [] }],
  ],
  [
    'PUT /v1/schemas/{type}',
    () => ({ schema: { type: 'object' } }),
    () => ({ action: 'register-schema', subject: 'parcel version 1' }),
    () => ['PUT /v1/schemas/parcel', { schema: { type: 'object' } }],
  ],
  [
    'PUT /v1/schemas/{type}/compatibility',
    () => ({ compatibility: 'FULL' }),
    () => ({ action: 'set-schema-compatibility', subject: 'FULL for parcel' }),
    () => ['PUT /v1/schemas/parcel/compatibility', { compatibility: 'FULL' }],
  ],
  [
    'POST /v1/dead-letters/discard',
    () => ({ filter: { ids: [ids.bad] }, reason: 'a test' }),
    ({ body }) => ({
      action: 'discard-dead-letters',
      operation_id: body.id,
      filter: { ids: [ids.bad] },
      count: 1,
      reason: 'a test',
    }),
    () => ['POST /v1/dead-letters/discard', { filter: {} }],
  ],
  [
    'POST /v1/dead-letters/replay',
    () => ({ filter: { type: 'step' }, rate: 1, reason: 'repaired' }),
    ({ body }) => ({
      action: 'replay-dead-letters',
      operation_id: body.id,
      filter: { type: 'step' },
      count: 1,
      reason: 'repaired',
    }),
    () => ['POST /v1/dead-letters/replay', { filter: {}, dry_run: true }],
  ],
  [
    'POST /v1/operations/{id}/resume',
    () => undefined,
    ({ body }) => ({ action: 'resume', operation_id: body.id, filter: { type: 'step' }, count: 1, reason: 'repaired' }),
    () => [`POST /v1/operations/${operation}/resume`],
  ],
  [
    'POST /v1/operations/{id}/cancel',
    () => undefined,
    ({ body }) => ({ action: 'cancel', operation_id: body.id, filter: { type: 'step' }, count: 1, reason: 'repaired' }),
    () => [`POST /v1/operations/${operation}/cancel`],
  ],
  [
    'POST /v1/events/replay',
    () => ({ target: 'processed', filter: { ids: [ids.fine] } }),
    ({ body }) => ({ action: 'replay-processed', operation_id: body.id, filter: { ids: [ids.fine] }, count: 1 }),
    () => ['POST /v1/events/replay', { target: 'processed', filter: { type: 'step' }, dry_run: true }],
  ],
  [
    'POST /v1/waiting/{id}/skip',
    () => ({ reason: 'sent again' }),
    () => ({ action: 'skip', filter: { ids: [ids.sad] }, count: 1, reason: 'sent again' }),
    () => ['POST /v1/waiting/none/skip', { reason: 'it does not wait' }],
  ],
  [
    'POST /v1/groups/{name}/pause',
    () => ({ reason: 'it is being moved' }),
    () => ({ action: 'pause-group', subject: 'group invoicing', reason: 'it is being moved' }),
    () => ['POST /v1/groups/invoicing/pause', { reason: 'again' }],
  ],
  [
    'POST /v1/groups/{name}/resume',
    () => ({}),
    () => ({ action: 'resume-group', subject: 'group invoicing' }),
    () => ['POST /v1/groups/invoicing/resume', {}],
  ],
  [
    'POST /v1/groups/{name}/reset',
    () => ({ to: 'latest' }),
    () => ({ action: 'reset-group', subject: 'group invoicing to latest' }),
    () => ['POST /v1/groups/invoicing/reset', { to: 'latest', dry_run: true }],
  ],
  ...['replay', 'discard'].map((action): (typeof CHANGES)[number] => [
    `POST /v1/groups/{name}/dead-letters/${action}`,
    () => ({ filter: { key: `${action}ed` }, reason: 'a test' }),
    () => ({
      action: `${action}-group-dead-letters`,
      ...{ subject: 'group invoicing', filter: { key: `${action}ed` }, count: 1, reason: 'a test' },
    }),
    () => [`POST /v1/groups/invoicing/dead-letters/${action}`, { filter: { key: `${action}ed` }, reason: 'again' }],
  ]),
  [
    'PUT /v1/groups/{name}/positions',
    () => ({ from: 'latest', reset: true }),
    () => ({ action: 'reset-group', subject: 'group billing: 1 partitions' }),
    // What its program has handled is not an operator's change.
    () => ['PUT /v1/groups/billing/positions', { from: 'latest' }],
  ],
  [
    'DELETE /v1/groups/{name}',
    () => undefined,
    () => ({ action: 'delete-group', subject: 'group invoicing' }),
    () => ['DELETE /v1/groups/invoicing'],
  ],
  [
    'DELETE /v1/keys/{id}',
    () => undefined,
    () => ({ action: 'revoke-key', subject: `key ${made} checkout (ingest, read)` }),
    () => [`DELETE /v1/keys/${made}`],
  ],
]

/** Routes that change only the sender's own data, or nothing. */
const UNAUDITED = ['POST /v1/events', 'POST /v1/events/batch', 'POST /v1/schemas/{type}/check']

test('each route that changes something is in the table', () => {
  const routes = Object.entries(contract.document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const changing = routes.filter((route) => !route.startsWith('GET ') && !UNAUDITED.includes(route))
  expect(CHANGES.map(([route]) => route).sort()).toEqual(changing.sort())
})

describe.each(CHANGES)('%s', (route, request, row, idle) => {
  test('has one row, and none if nothing changes', async () => {
    if (route.includes('/operations/')) {
      await pipeline.db.query(`UPDATE operations SET status = 'interrupted' WHERE id = $1`, [operation])
    }
    const id = { keys: made, operations: operation, waiting: ids.sad }[route.split('/')[2]!]
    const name = route.endsWith('/positions') ? 'billing' : 'invoicing'
    const path = route.replace('{type}', 'parcel').replace('{name}', name).replace('{id}', `${id}`)
    const { result, rows } = await audited(() => ask(path, request()))
    const { action, ...rest } = row(result) as Record<string, unknown>
    const nothing = { subject: null, filter: {}, count: 0, reason: null, operation_id: null }
    expect(rows).toEqual([
      { tenant_id: 'default', actor: `ada with key ${key.id}`, action, ...nothing, ...rest, now: true },
    ])
    if (route === 'POST /v1/keys') made = result.body.id
    if (route === 'POST /v1/dead-letters/replay') operation = result.body.id
    expect((await audited(() => ask(...idle()))).rows).toEqual([])
  })
})

test.each([
  ['a tenant', () => createTenant(pipeline.db, 'acme', 'root@host'), 'create-tenant', 'tenant acme'],
  [
    'a quota',
    () => setQuota(pipeline.db, 'acme', { eventsPerSecond: 5, bytesPerSecond: null }, 'root@host'),
    'set-quota',
    'tenant acme: 5 events/s, any bytes/s',
  ],
])('%s made at the command line has one too', async (_, change, action, subject) => {
  const { rows } = await audited(change)
  expect(rows).toMatchObject([{ tenant_id: 'acme', actor: 'root@host', action, subject, now: true }])
})

test('schemas registered by definitions have one too', async () => {
  const { rows } = await pipeline.db.query(`SELECT action, subject FROM audit_log WHERE actor = 'definition'`)
  expect(rows).toEqual([{ action: 'register-schema', subject: 'step version 1' }])
})
