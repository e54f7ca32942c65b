/** Windows and joins over HTTP: what a tenant reads of them, and what the operator sees of all tenants. */
import { NEVER } from '@eventflow/core'
import { createApiKey, createTenant } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import { insertRows, makeStateful, microsAt, startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Answer, type Contract, readContract } from '../contract.js'

const step = defineEvent({ type: 'step.done', schema: Type.Object({ n: Type.Integer() }) })

let pipeline: TestPipeline
let contract: Contract
/** The keys of the operator's tenant and of another one. */
let keys: Record<'default' | 'acme', string>
let windowId: number
let joinId: number

const at = (clock: string) => `2026-01-31T${clock}.000Z`

const ask = (path: string, tenant: 'default' | 'acme' = 'acme'): Promise<Answer> =>
  contract.ask(path, { headers: { authorization: `Bearer ${keys[tenant]}` } })

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_AUTH: 'required' })
  contract = await readContract(pipeline.url)
  await createTenant(pipeline.db, 'acme', 'test')
  const keyOf = async (tenantId: string) =>
    (await createApiKey(pipeline.db, { tenantId, name: 'test', scopes: ['read'] }, 'test')).key
  keys = { default: await keyOf('default'), acme: await keyOf('acme') }
  windowId = await makeStateful(pipeline.db, {
    ...{ name: 'revenue', kind: 'window', types: ['step.done'], out_of_orderness: 5e6, building: 2 },
  })
  await pipeline.db.query(
    `INSERT INTO group_cursors (group_id, generation, partition, position) SELECT $1, 2, id, 0 FROM partitions`,
    [windowId],
  )
  joinId = await makeStateful(pipeline.db, { name: 'enriched', kind: 'join', types: ['step.done'], idle: null })
  await fill()
})

afterAll(() => pipeline.stop())

/** Two results, one open window, one late event and one waiting event of acme; a result of the operator's tenant. */
async function fill(): Promise<void> {
  const { db } = pipeline
  const row = { group_id: windowId, generation: 1, partition: 0, tenant_id: 'acme', key: 'DTW' }
  const result = (from: string, to: string, tenant_id = 'acme') => ({
    ...{ ...row, tenant_id, start_at: at(from), end_at: at(to), result: { count: 2, total: '9007199254740993' } },
  })
  await insertRows(db, 'window_results', [
    result('10:00:00', '10:05:00'),
    result('10:05:00', '10:10:00'),
    result('10:00:00', '10:05:00', 'default'),
  ])
  const [start_at, end_at] = [microsAt('10:10:00'), microsAt('10:15:00')]
  await insertRows(db, 'window_state', [
    { ...row, start_at, end_at, close_at: end_at, first_open: start_at, state: { count: 1 } },
  ])
  await insertRows(db, 'group_watermarks', [
    { group_id: windowId, generation: 1, partition: 0, tenant_id: 'acme', watermark: microsAt('10:12:00') },
    { group_id: windowId, generation: 1, partition: 0, tenant_id: 'default', watermark: microsAt('10:13:00') },
  ])
  const late = { ...row, event_id: '00000000-0000-7000-8000-000000000001', type: 'step.done', position: 1 }
  for (const group_id of [windowId, joinId]) {
    await insertRows(db, 'late_events', [
      { ...late, group_id, seq: 1, occurred_at: at('09:00:00'), watermark: at('10:12:00') },
    ])
  }
  const waiting = { ...row, group_id: joinId, side: 'left', at: start_at, expires_at: end_at, event: {} }
  await insertRows(db, 'join_rows', [
    { ...waiting, seq: 1 },
    { ...waiting, seq: 2, side: 'right', expires_at: String(NEVER) },
  ])
}

describe('windows', () => {
  test('are listed to every tenant, with its own counts', async () => {
    const { body } = await ask('/v1/windows')
    const shared = {
      ...{ name: 'revenue', version: 1, types: ['step.done'], out_of_orderness_seconds: 5, idle_seconds: 30 },
      ...{ paused: false, rebuilding: true },
    }
    const own = { watermark: { min: at('10:12:00'), max: at('10:12:00') }, open_windows: 1, results: 2, late_events: 1 }
    expect(body).toEqual({ items: [{ ...shared, ...own }], next: null })
    expect((await ask('/v1/windows/revenue')).body).toEqual(body.items[0])
    const theirs = {
      watermark: { min: at('10:13:00'), max: at('10:13:00') },
      open_windows: 0,
      results: 1,
      late_events: 0,
    }
    expect((await ask('/v1/windows', 'default')).body.items).toEqual([{ ...shared, ...theirs }])
  })

  test('have results by key and time, in pages', async () => {
    const { body } = await ask('/v1/windows/revenue/results?limit=1')
    expect(body.items).toEqual([
      {
        ...{ key: 'DTW', start: at('10:05:00'), end: at('10:10:00'), partition: 0, closed_at: expect.any(String) },
        result: { count: 2, total: '9007199254740993' },
      },
    ])
    const rest = await ask(`/v1/windows/revenue/results?limit=5&cursor=${body.next}`)
    expect(rest.body).toMatchObject({ items: [{ start: at('10:00:00') }], next: null })
    const ends = async (query: string) =>
      (await ask(`/v1/windows/revenue/results?${query}`)).body.items.map(({ end }: { end: string }) => end)
    expect(await ends('key=none')).toEqual([])
    expect(await ends(`key=DTW&from=${at('10:05:00')}`)).toEqual([at('10:10:00')])
    expect(await ends(`to=${at('10:05:00')}`)).toEqual([at('10:05:00')])
    const wrong = await ask(`/v1/windows/revenue/results?from=yesterday`)
    expect(wrong).toMatchObject({ status: 400, body: { errors: [{ pointer: '/from' }] } })
  })

  test('show the open ones', async () => {
    const { body } = await ask('/v1/windows/revenue/open')
    const open = {
      ...{ key: 'DTW', start: at('10:10:00'), end: at('10:15:00'), closes_at: at('10:15:00'), partition: 0 },
      ...{ state_bytes: 12, state: { count: 1 } },
    }
    expect(body).toEqual({ items: [open], next: null })
    expect((await ask('/v1/windows/revenue/open', 'default')).body.items).toEqual([])
    expect((await ask('/v1/windows/revenue/open?key=ORD')).body.items).toEqual([])
  })

  test('show late events', async () => {
    const { body } = await ask('/v1/windows/revenue/late')
    expect(body.items).toEqual([
      {
        ...{ id: '00000000-0000-7000-8000-000000000001', type: 'step.done', partitionkey: 'DTW', partition: 0 },
        ...{ time: at('09:00:00'), watermark: at('10:12:00'), recorded_at: expect.any(String) },
      },
    ])
    expect((await ask('/v1/windows/revenue/late?type=other')).body.items).toEqual([])
    expect((await ask('/v1/windows/revenue/late', 'default')).body.items).toEqual([])
  })

  test.each(['', '/results', '/open', '/late'])('of another name are not found: %s', async (rest) => {
    for (const name of ['none', 'enriched']) {
      const { status, body } = await ask(`/v1/windows/${name}${rest}`)
      expect([status, body.code, body.detail]).toEqual([404, 'group-not-found', `There is no window ${name}`])
    }
  })

  test('a cursor of another list or tenant is refused', async () => {
    const { next } = (await ask('/v1/windows/revenue/results?limit=1')).body
    for (const [path, tenant] of [
      ['open', 'acme'],
      ['results', 'default'],
    ] as const) {
      const { status, body } = await ask(`/v1/windows/revenue/${path}?cursor=${next}`, tenant)
      expect([status, body.detail]).toEqual([400, expect.stringContaining('/cursor is not a `next` of this list')])
    }
    expect((await ask('/v1/windows/revenue/results?cursor=abc')).status).toBe(400)
  })
})

describe('joins', () => {
  test('are listed to every tenant, with its own counts', async () => {
    const join = { name: 'enriched', waiting: 2, late_events: 1, watermark: null, idle_seconds: null }
    expect((await ask('/v1/joins')).body.items).toMatchObject([join])
    expect((await ask('/v1/joins/enriched')).body).toMatchObject(join)
    expect((await ask('/v1/joins/enriched', 'default')).body).toMatchObject({ waiting: 0, late_events: 0 })
  })

  test('show the events that wait, and late ones', async () => {
    const waiting = {
      ...{ side: 'left', partitionkey: 'DTW', partition: 0, time: at('10:10:00'), expires_at: at('10:15:00') },
      matched: false,
    }
    // The event is not in the log.
    const forEver = { ...waiting, side: 'right', expires_at: null }
    expect((await ask('/v1/joins/enriched/waiting')).body).toEqual({ items: [waiting, forEver], next: null })
    expect((await ask('/v1/joins/enriched/waiting?side=right')).body.items).toEqual([forEver])
    expect((await ask('/v1/joins/enriched/waiting?side=both')).status).toBe(400)
    expect((await ask('/v1/joins/enriched/late')).body.items).toMatchObject([{ partitionkey: 'DTW' }])
    expect((await ask('/v1/joins/revenue/waiting')).body.detail).toBe('There is no join revenue')
  })
})

test('as groups, the operator sees what they hold of all tenants', async () => {
  const { items } = (await ask('/v1/groups', 'default')).body
  const state = {
    ...{ open_windows: 1, results: 3, late_events: 1, watermark: { min: at('10:12:00'), max: at('10:13:00') } },
    ...{ watermark_lag_seconds: expect.any(Number), lagging: { partition: 0, tenant: 'acme' } },
    building: { generation: 2, done: 1 },
  }
  const ofJoin = { waiting: 2, late_events: 1, watermark: null, watermark_lag_seconds: null, lagging: null }
  expect(items).toMatchObject([
    { name: 'enriched', kind: 'join', state: { ...ofJoin, building: null } },
    { name: 'revenue', kind: 'window', state },
  ])
  const { body } = await ask('/v1/groups/revenue', 'default')
  expect(body.partitions.slice(0, 2)).toMatchObject([
    { partition: 0, watermark: { min: at('10:12:00'), max: at('10:13:00') } },
    { partition: 1, watermark: null },
  ])
  expect((await ask('/v1/groups/revenue')).status).toBe(404)
})

test('the gauges show what they hold of all tenants', async () => {
  const text = await (await fetch(`${pipeline.url}/metrics`)).text()
  const lines = text.matchAll(/^eventflow_((?:window|join)_\w+)\{group="(\w+)",service="ingest"\} (\S+)$/gm)
  const shown = [...lines].map(([, name, group, value]) => [`${name} ${group}`, Number(value)])
  expect(Object.fromEntries(shown)).toEqual({
    'window_open revenue': 1,
    'window_watermark_lag_seconds revenue': expect.any(Number),
    'join_rows enriched': 2,
  })
})
