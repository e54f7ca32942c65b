/** Consumer groups over HTTP: what is shown, what an operator changes, and what is refused. */
import {
  createApiKey,
  createTenant,
  findGroup,
  performReset,
  registerGroups,
  SCOPES,
  takeGroupLeases,
} from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type Answer, type Contract, readContract } from '../contract.js'

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ n: Type.Integer() }),
  key: ({ n }) => `${n}`,
})

let pipeline: TestPipeline
let contract: Contract
/** The keys of the operator's tenant and of another one. */
let keys: Record<'default' | 'acme', string>
let groupId: number
/** The events of both tenants, by the order in which they were settled. */
let events: { id: string; partition: number; position: number; tenant: string }[]

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_AUTH: 'required' })
  contract = await readContract(pipeline.url)
  await createTenant(pipeline.db, 'acme', 'test')
  const keyOf = async (tenantId: string) =>
    (await createApiKey(pipeline.db, { tenantId, name: 'test', scopes: [...SCOPES] }, 'test')).key
  keys = { default: await keyOf('default'), acme: await keyOf('acme') }
  await pipeline.startWorker()
  const batch = Array.from({ length: 6 }, (_, n) => ({ type: 'step.done', data: { n } }))
  await ask('POST', '/v1/events/batch', batch)
  await ask('POST', '/v1/events/batch', batch, 'acme')
  await pipeline.drained()
  const { rows } = await pipeline.db.query(
    'SELECT event_id AS id, partition, position, tenant_id AS tenant FROM processed_events ORDER BY position',
  )
  events = rows
})

afterAll(() => pipeline.stop())

beforeEach(async () => {
  await pipeline.db.query('DELETE FROM consumer_groups')
  groupId = await register('invoicing')
})

async function register(name: string, from: 'earliest' | 'latest' = 'earliest'): Promise<number> {
  return (await registerGroups(pipeline.db, [{ name, version: 1, types: ['step.done'], from }])).get(name)!
}

async function ask(
  method: string,
  path: string,
  body?: unknown,
  tenant: 'default' | 'acme' = 'default',
): Promise<Answer> {
  const headers = {
    authorization: `Bearer ${keys[tenant]}`,
    'x-operator': 'ada',
    ...(body !== undefined && { 'content-type': 'application/json' }),
  }
  return contract.ask(path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) })
}

/** Makes a group of acme that a program reads, behind its first event. */
async function makeExternal(): Promise<void> {
  const { rows } = await pipeline.db.query(
    `INSERT INTO consumer_groups (tenant_id, name, kind) VALUES ('acme', 'theirs', 'external') RETURNING group_id`,
  )
  await pipeline.db.query(
    'INSERT INTO group_cursors (group_id, partition, position) SELECT $1, id, 0 FROM partitions',
    [rows[0].group_id],
  )
}

/** Makes a dead letter of the group from each event. */
async function buryAll(): Promise<void> {
  await pipeline.db.query(
    `INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
       failure_type, error_class, message, errors, component, attempts, history, worker_id, correlation_id, accepted_at)
     SELECT $1, seq, partition, position, tenant_id, event_id, type, key, payload, 'permanent', 'PermanentError',
            'is refused', '[]', 'handle', 1, '[]', 'w', correlation_id, accepted_at FROM processed_events`,
    [groupId],
  )
}

describe('groups', () => {
  test('are listed in pages, with their lag', async () => {
    await register('mailing', 'latest')
    const page = await ask('GET', '/v1/groups?limit=1')
    expect(page.body.items).toMatchObject([
      { name: 'mailing', kind: 'consumer', lag: { events: 0, more: false, seconds: 0 } },
    ])
    expect((await ask('GET', '/v1/groups?limit=101')).status).toBe(400)
    const rest = await ask('GET', `/v1/groups?limit=1&cursor=${page.body.next}`)
    expect(rest.body.items).toEqual([
      {
        ...{ name: 'invoicing', kind: 'consumer', version: 1, generation: 1, types: ['step.done'] },
        ...{ created_at: expect.any(String), paused: null, reset: null, owners: [], parked: 0, dead_letters: 0 },
        lag: { events: 12, more: false, seconds: expect.any(Number) },
      },
    ])
  })

  test('are shown with their partitions, positions and owners', async () => {
    await buryAll()
    const { partition } = events[0]!
    await takeGroupLeases(pipeline.db, 'w', [{ groupId, partition }], 60_000)
    const { body } = await ask('GET', '/v1/groups/invoicing')
    expect(body).toMatchObject({ owners: ['w'], dead_letters: 12 })
    const here = events.filter((event) => event.partition === partition)
    expect(body.partitions[partition]).toEqual({
      ...{ partition, owner: 'w', position: 0, low: 0, last: here.at(-1)!.position, parked: 0 },
      ...{ dead_letters: here.length, lag: { events: here.length, more: false, seconds: expect.any(Number) } },
    })
    expect((await ask('GET', '/v1/groups/none')).body).toMatchObject({ code: 'group-not-found', status: 404 })
  })

  test('are paused with a reason, resumed and deleted', async () => {
    expect(await ask('POST', '/v1/groups/invoicing/pause', { reason: 'moving house' })).toMatchObject({ status: 200 })
    const { body } = await ask('GET', '/v1/groups/invoicing')
    expect(body.paused).toMatchObject({ reason: 'moving house', by: expect.stringMatching(/^ada with key /) })
    expect((await ask('POST', '/v1/groups/invoicing/pause', { reason: 'again' })).body).toMatchObject({
      ...{ status: 409, code: 'group-conflict' },
      detail: expect.stringContaining('moving house'),
    })
    expect((await ask('POST', '/v1/groups/invoicing/resume', {})).body).toEqual({
      ...{ name: 'invoicing', status: 'running', skipped_partitions: 0 },
    })
    expect((await ask('POST', '/v1/groups/invoicing/resume', {})).status).toBe(409)
    expect((await ask('DELETE', '/v1/groups/invoicing')).body).toEqual({ name: 'invoicing', status: 'deleted' })
    expect((await ask('DELETE', '/v1/groups/invoicing')).status).toBe(404)
  })
})

describe('a reset', () => {
  const reset = (body: object) => ask('POST', '/v1/groups/invoicing/reset', body)

  test('can be rehearsed', async () => {
    const { body } = await reset({ to: 'latest', dry_run: true })
    expect(body).toMatchObject({ name: 'invoicing', status: 'dry-run', again: 0, skipped: 12, more: false })
    expect(body.partitions[events[0]!.partition]).toMatchObject({ from: 0, again: 0, more: false })
    expect(await findGroup(pipeline.db, { tenantId: 'default', name: 'invoicing' })).toMatchObject({ resetAt: null })
  })

  /** Performs the reset as a worker does, once it is asked for. */
  const perform = (undo: () => Promise<void>) =>
    until('the reset is performed', async () => (await performReset(pipeline.db, groupId, undo)) !== 'none')

  test('is answered once a worker has performed it', async () => {
    const [answer] = await Promise.all([reset({ to: { position: events[5]!.position } }), perform(async () => {})])
    expect(answer).toMatchObject({ status: 200, body: { name: 'invoicing', status: 'done' } })
    const { body } = await ask('GET', '/v1/groups/invoicing')
    expect(body).toMatchObject({ reset: null, lag: { events: 6 } })
  })

  test('whose function fails is answered with its error', async () => {
    const fails = () => Promise.reject(new TypeError('no such table'))
    const [answer] = await Promise.all([reset({ to: 'earliest' }), perform(fails)])
    expect(answer.body).toMatchObject({
      ...{ status: 409, code: 'group-conflict' },
      detail: expect.stringContaining('nothing has changed: TypeError: no such table'),
    })
    expect((await ask('GET', '/v1/groups/invoicing')).body.reset).toMatchObject({
      ...{ status: 'failed', requested_by: expect.stringMatching(/^ada/) },
      error: 'TypeError: no such table',
    })
  })

  test('waits for a worker, if there is none; a later one replaces it', async () => {
    const first = reset({ to: 'latest' })
    await until('it is asked for', async () => {
      const group = await findGroup(pipeline.db, { tenantId: 'default', name: 'invoicing' })
      return group!.resetTo !== null
    })
    const second = await reset({ to: { time: '2001-01-01T00:00:00+02:00' }, emit: 'new' })
    expect((await first).body).toMatchObject({ status: 409, detail: expect.stringContaining('has replaced this one') })
    expect(second).toMatchObject({ status: 202, body: { name: 'invoicing', status: 'pending' } })
    expect(second.headers.get('location')).toBe('/v1/groups/invoicing')
    expect((await ask('GET', '/v1/groups/invoicing')).body.reset).toMatchObject({
      ...{ status: 'pending', to: { time: '2000-12-31T22:00:00.000Z' } },
    })
    await perform(async () => {})
    expect((await ask('GET', '/v1/groups/invoicing')).body).toMatchObject({ generation: 2, reset: null })
  })

  test.each<[object, string, string]>([
    [{}, '/to', ''],
    [{ to: 'sometime' }, '/to', ''],
    [{ to: { time: 'yesterday' } }, '/to/time', ''],
    [{ to: { time: '2999-01-01T00:00:00Z' } }, '/to/time', 'lies in the future'],
    [{ to: { position: -1 } }, '/to', ''],
    [{ to: { position: 1, time: '2001-01-01T00:00:00Z' } }, '/to', ''],
    [{ to: 'latest', emit: 'old' }, '/emit', ''],
    [{ to: 'latest', dry: true }, '/dry', ''],
  ])('with %j is refused at its place', async (body, pointer, message) => {
    const answer = await reset(body)
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid-query', detail: expect.stringContaining(message) })
    expect(answer.body.errors[0].pointer).toMatch(new RegExp(`^${pointer}`))
  })

  test('to a position that does not exist yet is refused', async () => {
    const { body } = await reset({ to: { position: Number.MAX_SAFE_INTEGER } })
    expect(body).toMatchObject({ status: 409, detail: expect.stringContaining('There is no position') })
  })
})

describe('dead letters of a group', () => {
  const PATH = '/v1/groups/invoicing/dead-letters'

  beforeEach(buryAll)

  test('are listed in pages; those of other tenants say only which kind of failure it is', async () => {
    const first = await ask('GET', `${PATH}?limit=7`)
    const second = await ask('GET', `${PATH}?limit=7&cursor=${first.body.next}`)
    const items = [...first.body.items, ...second.body.items]
    expect(items).toHaveLength(12)
    expect(second.body.next).toBeNull()
    const own = items.filter(({ tenant }) => tenant === undefined)
    expect(own.map(({ id }) => id).sort()).toEqual(
      events.flatMap(({ id, tenant }) => (tenant === 'default' ? [id] : [])).sort(),
    )
    expect(items.filter(({ tenant }) => tenant !== undefined)[0]).toEqual({
      ...{ tenant: 'acme', type: 'step.done', status: 'open', attempts: 1 },
      ...{ accepted_at: expect.any(String), failed_at: expect.any(String) },
      failure: { failure_type: 'permanent', error_class: 'PermanentError', component: 'handle' },
    })
    expect((await ask('GET', `${PATH}?error_class=Other`)).body.items).toEqual([])
    expect((await ask('GET', `${PATH}?status=all&key=3`)).body.items).toHaveLength(2)
    expect((await ask('GET', `/v1/groups?cursor=${first.body.next}`)).status).toBe(400)
  })

  test('are shown one by one, if their events are of the tenant', async () => {
    const [own, theirs] = ['default', 'acme'].map((tenant) => events.find((event) => event.tenant === tenant)!.id)
    expect((await ask('GET', `${PATH}/${own}`)).body).toMatchObject({
      ...{ id: own, status: 'open', history: [], data: { n: expect.any(Number) } },
      failure: { message: 'is refused' },
    })
    expect((await ask('GET', `${PATH}/${theirs}`)).body).toMatchObject({ code: 'dead-letter-not-found' })
    expect((await ask('GET', `/v1/groups/none/dead-letters/${own}`)).body).toMatchObject({ code: 'group-not-found' })
  })

  test('are told with their events, to the tenant of the group', async () => {
    const [own, theirs] = ['default', 'acme'].map((tenant) => events.find((event) => event.tenant === tenant)!.id)
    const dead = { group: 'invoicing', error_class: 'PermanentError', message: 'is refused' }
    const deadIn = async (id: string, tenant?: 'acme') =>
      (await ask('GET', `/v1/events/${id}`, undefined, tenant)).body.dead_in
    expect(await deadIn(own!)).toEqual([{ ...dead, status: 'open' }])
    expect(await deadIn(theirs!, 'acme')).toBeUndefined()
    await ask('POST', `${PATH}/discard`, { filter: {}, reason: 'a test' })
    expect(await deadIn(own!)).toEqual([{ ...dead, status: 'discarded' }])
    await pipeline.db.query(`UPDATE group_dead_letters SET status = 'replayed'`)
    expect(await deadIn(own!)).toBeUndefined()
  })

  test('are counted, replayed and discarded', async () => {
    const rehearsed = await ask('POST', `${PATH}/replay`, { filter: {}, dry_run: true })
    expect(rehearsed.body).toMatchObject({ count: 12, more: false, removed: 0, at: expect.any(String) })
    const before = { filter: { to: '2001-01-01T00:00:00Z' } }
    expect((await ask('POST', `${PATH}/replay`, before)).body).toEqual({ changed: 0, more: false })
    const some = { filter: { key: '3' }, reason: 'mended' }
    expect((await ask('POST', `${PATH}/replay`, some)).body).toEqual({ changed: 2, more: false })
    expect((await ask('GET', `${PATH}?status=replaying`)).body.items).toHaveLength(2)
    expect((await ask('POST', `${PATH}/discard`, { filter: {} })).body).toMatchObject({
      ...{ status: 400, errors: [{ pointer: '/reason' }] },
    })
    expect((await ask('POST', `${PATH}/discard`, { filter: {}, reason: 'a test' })).body).toMatchObject({ changed: 10 })
    const { body } = await ask('GET', '/v1/groups/invoicing')
    expect(body).toMatchObject({ parked: 2, dead_letters: 0 })
  })
})

describe('another tenant', () => {
  test('finds only its own groups', async () => {
    await makeExternal()
    expect((await ask('GET', '/v1/groups', undefined, 'acme')).body.items).toMatchObject([
      { name: 'theirs', kind: 'external', lag: { events: 6 } },
    ])
    const requests: [string, string, object?][] = [
      ['GET', ''],
      ['POST', '/pause', { reason: 'x' }],
      ['POST', '/resume', {}],
      ['POST', '/reset', { to: 'latest' }],
      ['POST', '/reset', { to: 'latest', dry_run: true }],
      ['DELETE', ''],
      ['GET', '/dead-letters'],
      ['GET', `/dead-letters/${events[0]!.id}`],
      ['POST', '/dead-letters/replay', { filter: {} }],
      ['POST', '/dead-letters/replay', { filter: {}, dry_run: true }],
      ['POST', '/dead-letters/discard', { filter: {}, reason: 'x' }],
    ]
    for (const [method, path, body] of requests) {
      const answer = await ask(method, `/v1/groups/invoicing${path}`, body, 'acme')
      expect([path, answer.body.code]).toEqual([path, 'group-not-found'])
    }
  })

  test('resets its own at once, and sees no positions', async () => {
    await makeExternal()
    const rehearsed = await ask('POST', '/v1/groups/theirs/reset', { to: 'latest', dry_run: true }, 'acme')
    expect(rehearsed.body).toMatchObject({ skipped: 6 })
    const done = await ask('POST', '/v1/groups/theirs/reset', { to: 'latest' }, 'acme')
    expect(done.body).toEqual({ name: 'theirs', status: 'done' })
    const shown = await ask('GET', '/v1/groups/theirs', undefined, 'acme')
    expect(shown.body).toMatchObject({ lag: { events: 0 } })
    for (const { partitions } of [rehearsed.body, shown.body]) {
      for (const name of ['from', 'to', 'position', 'last', 'low']) expect(partitions[0]).not.toHaveProperty(name)
    }
    const refused = await ask('POST', '/v1/groups/theirs/reset', { to: { position: 1 } }, 'acme')
    expect(refused.body).toMatchObject({ status: 400, errors: [{ pointer: '/to/position' }] })
    expect((await ask('POST', '/v1/groups/theirs/pause', { reason: 'x' }, 'acme')).status).toBe(200)
    expect((await ask('POST', '/v1/groups/theirs/resume', {}, 'acme')).status).toBe(200)
  })
})
