/** What is read of windows and joins: lists by tenant, counts, the view for people, and what retention removes. */
import {
  asTenant,
  connect,
  type Db,
  deleteConsumerGroup,
  findGroup,
  findStateful,
  type GroupRow,
  listJoinRows,
  listLateEvents,
  listOpenWindows,
  listStateful,
  listWindowResults,
  type PlacedRows,
  readStateFigures,
  removeStateHistory,
} from '@eventflow/db'
import { createDatabase, insertRows, makeStateful, microsAt } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

let db: Db
let groupId: number
let group: Pick<GroupRow, 'groupId' | 'generation'>

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
})

afterAll(() => db.end())

beforeEach(async () => {
  await db.query('DELETE FROM consumer_groups')
  groupId = await makeStateful(db, { name: 'revenue', kind: 'window', types: ['payment.captured'], generation: 2 })
  group = { groupId, generation: 2 }
})

const at = (clock: string) => `2026-01-31T${clock}Z`

/** A row of a tenant in the current generation of the group. */
const own = (more: object, tenant = 'ours') => ({
  ...{ group_id: groupId, generation: 2, partition: 0, tenant_id: tenant, key: 'a' },
  ...more,
})

const result = (key: string, from: string, to: string, more = {}) =>
  own({ key, start_at: at(from), end_at: at(to), result: { count: 1 }, ...more })

const open = (key: string, from: string, to: string, more = {}) => {
  const [start_at, end_at] = [microsAt(from), microsAt(to)]
  return own({ key, start_at, end_at, close_at: end_at, first_open: start_at, state: { count: 1 }, ...more })
}

/** All pages of a list, of two rows each. */
async function pages(
  read: (after: string[] | undefined) => Promise<PlacedRows>,
  as: (row: PlacedRows['rows'][0]) => string,
) {
  const found: string[][] = []
  let after: string[] | undefined
  do {
    const { rows, next } = await read(after)
    found.push(rows.map(as))
    after = next ?? undefined
  } while (after)
  return found.map((page) => page.join(' '))
}

describe('results', () => {
  const list = (filter = {}) =>
    pages(
      (after) => listWindowResults(db, { group, tenantId: 'ours' }, filter, { after, limit: 2 }),
      (row) => `${row.key}${row.end.slice(11, 16)}`,
    )

  beforeEach(() =>
    insertRows(db, 'window_results', [
      result('a', '10:00:00', '10:05:00'),
      result('b', '10:00:00', '10:05:00'),
      result('c', '10:00:00', '10:05:00', { partition: 1 }),
      result('a', '10:05:00', '10:10:00'),
      result('a', '10:10:00', '10:15:00', { generation: 3 }),
      result('d', '10:10:00', '10:15:00', { tenant_id: 'theirs' }),
    ]),
  )

  test('are those of the tenant and of the current generation, the latest windows first', async () => {
    expect(await list()).toEqual(['a10:10 c10:05', 'b10:05 a10:05', ''])
    expect(await list({ key: 'a' })).toEqual(['a10:10 a10:05', ''])
    expect(await list({ from: at('10:05:00') })).toEqual(['a10:10'])
    expect(await list({ to: at('10:05:00'), key: 'a' })).toEqual(['a10:05'])
    expect(await list({ from: at('10:00:00'), to: at('10:05:00') })).toEqual(['c10:05 b10:05', 'a10:05'])
    const { rows } = await listWindowResults(db, { group, tenantId: 'ours' }, {}, { after: undefined, limit: 1 })
    expect(rows).toMatchObject([
      { key: 'a', start: at('10:05:00.000000'), end: at('10:10:00.000000'), partition: 0, result: { count: 1 } },
    ])
  })

  test('a page ends early when its results are large', async () => {
    await db.query(`UPDATE window_results SET result = jsonb_build_object('text', repeat('x', 600000))`)
    const read = (after: string[] | undefined) =>
      listWindowResults(db, { group, tenantId: 'ours' }, {}, { after, limit: 10 })
    const found = await pages(read, ({ key }) => key)
    expect(found).toEqual(['a c', 'b a'])
  })
})

describe('open windows', () => {
  const list = (filter = {}) =>
    pages(
      (after) => listOpenWindows(db, { group, tenantId: 'ours' }, filter, { after, limit: 2 }),
      (row) => `${row.key}${row.closes_at.slice(11, 16)}`,
    )

  beforeEach(() =>
    insertRows(db, 'window_state', [
      open('a', '10:00:00', '10:05:00', { partition: 1 }),
      open('b', '10:00:00', '10:05:00'),
      open('c', '10:00:00', '10:05:00', { partition: 1 }),
      open('a', '10:05:00', '10:10:00', { partition: 1 }),
      open('a', '10:10:00', '10:15:00', { generation: 3 }),
      open('d', '09:10:00', '09:15:00', { tenant_id: 'theirs' }),
    ]),
  )

  test('are listed by key, over all partitions', async () => {
    expect(await list()).toEqual(['a10:05 a10:10', 'b10:05 c10:05', ''])
    expect(await list({ key: 'a', partition: 1 })).toEqual(['a10:05 a10:10', ''])
    expect(await list({ key: 'a', partition: 0 })).toEqual([''])
    const { rows } = await listOpenWindows(db, { group, tenantId: 'theirs' }, {}, { after: undefined, limit: 9 })
    expect(rows).toMatchObject([{ key: 'd', start: at('09:10:00.000000'), state: { count: 1 }, size: 12 }])
  })

  test('are a view, which shows each tenant its own', async () => {
    const { rows } = await db.query('SELECT * FROM open_windows ORDER BY start_at, key')
    expect(rows.map(({ tenant_id, key }) => `${tenant_id} ${key}`)).toEqual([
      ...['theirs d', 'ours a', 'ours b', 'ours c', 'ours a'],
    ])
    const read = (tenant: string) =>
      asTenant(db, tenant, (tx) => tx.query('SELECT * FROM open_windows')).then((seen) => seen.rows)
    expect(await read('theirs')).toEqual([
      {
        ...{ name: 'revenue', tenant_id: 'theirs', key: 'd', partition: 0, state: { count: 1 } },
        ...{
          start_at: new Date(at('09:10:00')),
          end_at: new Date(at('09:15:00')),
          closes_at: new Date(at('09:15:00')),
        },
      },
    ])
    expect(await read('ours')).toHaveLength(4)
    expect(await read('nobody')).toEqual([])
  })
})

const late = (seq: number, clock: string, more = {}) =>
  own({
    ...{ seq, event_id: `00000000-0000-7000-8000-00000000000${seq}`, type: 'payment.captured', position: seq },
    ...{ occurred_at: at(clock), watermark: at('10:05:00'), ...more },
  })

test('late events are listed in pages, by type, key and time', async () => {
  await insertRows(db, 'late_events', [
    late(1, '10:00:00'),
    late(2, '10:01:00', { key: 'b' }),
    late(3, '10:02:00', { type: 'payment.refunded' }),
    late(4, '10:02:00', { tenant_id: 'theirs' }),
  ])
  const list = async (filter = {}, before?: number) => {
    const rows = await listLateEvents(db, { group, tenantId: 'ours' }, filter, { before, limit: 2 })
    return rows.map(({ seq }) => seq)
  }
  expect(await list()).toEqual([3, 2])
  expect(await list({}, 2)).toEqual([1])
  expect(await list({ key: 'a' })).toEqual([3, 1])
  expect(await list({ type: 'payment.captured', from: at('10:00:30') })).toEqual([2])
  expect(await list({ to: at('10:01:00') })).toEqual([1])
})

test('the events that wait in a join are listed by key and side', async () => {
  groupId = await makeStateful(db, { name: 'enriched', kind: 'join' })
  group = { groupId, generation: 1 }
  const waiting = (seq: number, clock: string, more = {}) => ({
    ...own({ generation: 1, side: 'left', at: microsAt('10:00:00'), seq, expires_at: microsAt(clock), event: {} }),
    ...more,
  })
  await insertRows(db, 'join_rows', [
    waiting(1, '10:10:00'),
    waiting(2, '10:05:00', { partition: 1, key: 'b' }),
    waiting(3, '10:10:00', { side: 'right' }),
    waiting(4, '10:10:00', { tenant_id: 'theirs' }),
  ])
  const list = (filter = {}) =>
    pages(
      (after) => listJoinRows(db, { group, tenantId: 'ours' }, filter, { after, limit: 2 }),
      (row) => `${row.seq}`,
    )
  expect(await list()).toEqual(['1 3', '2'])
  expect(await list({ side: 'left' })).toEqual(['1 2', ''])
  expect(await list({ key: 'a', partition: 0 })).toEqual(['1 3', ''])
  const [found] = await listStateful(db, { kind: 'join', tenantId: 'ours' }, { before: undefined, limit: 5 })
  expect(found!.state).toMatchObject({ waiting: 3, openWindows: 0, lateEvents: 0 })
})

describe('figures', () => {
  const minutesAgo = (minutes: number) => (Date.now() - minutes * 60_000) * 1_000
  const mark = (watermark: number | null, more = {}) => {
    const { key: _, ...row } = own({ watermark, ...more })
    return row
  }

  beforeEach(async () => {
    await insertRows(db, 'window_state', [
      open('a', '10:00:00', '10:05:00'),
      open('b', '10:00:00', '10:05:00', { partition: 1, tenant_id: 'theirs', close_at: minutesAgo(-60) }),
      open('c', '10:00:00', '10:05:00', { generation: 3 }),
    ])
    await insertRows(db, 'window_results', [result('a', '10:00:00', '10:05:00'), result('a', '10:05:00', '10:10:00')])
    await insertRows(db, 'late_events', [late(1, '10:00:00', { tenant_id: 'theirs' })])
    await insertRows(db, 'group_watermarks', [
      mark(minutesAgo(10)),
      mark(minutesAgo(20), { partition: 1, tenant_id: 'theirs' }),
      mark(minutesAgo(5), { partition: 1 }),
      mark(null, { partition: 2 }),
      mark(minutesAgo(90), { partition: 2, generation: 3 }),
    ])
  })

  test('are counted for a tenant, and for the operator', async () => {
    const of = async (tenantId: string) =>
      (await findStateful(db, { kind: 'window', name: 'revenue', tenantId }))!.state
    expect(await of('ours')).toMatchObject({ openWindows: 1, results: 2, lateEvents: 0, waiting: 0 })
    expect(await of('theirs')).toMatchObject({ openWindows: 1, results: 0, lateEvents: 1 })
    expect((await of('ours')).watermarks.map(({ partition }) => partition)).toEqual([0, 1])
    const { state } = (await findGroup(db, { tenantId: 'default', name: 'revenue' }))!
    expect(state).toMatchObject({ openWindows: 2, results: 2, lateEvents: 1 })
    const [first, second] = state!.watermarks
    expect(first!.min).toBe(first!.max)
    expect(Date.parse(second!.max) - Date.parse(second!.min)).toBe(15 * 60_000)
    expect(await findStateful(db, { kind: 'join', name: 'revenue', tenantId: 'ours' })).toBeUndefined()
  })

  test('the watermark lags where a window is due by the clock', async () => {
    const { state } = (await readStateFigures(db))[0]!
    expect(state.lagging).toEqual({ partition: 0, tenantId: 'ours' })
    expect(state.lagSeconds).toBeGreaterThanOrEqual(600)
    expect(state.lagSeconds).toBeLessThan(660)
    await db.query('UPDATE window_state SET close_at = $1 WHERE generation = 2', [minutesAgo(-60)])
    expect((await readStateFigures(db))[0]!.state).toMatchObject({ lagSeconds: 0, lagging: null })
  })

  test('there is no lag if windows close by later events only', async () => {
    await db.query('UPDATE consumer_groups SET idle = NULL')
    expect((await readStateFigures(db))[0]!.state).toMatchObject({ lagSeconds: null, lagging: null, openWindows: 2 })
  })

  test('a generation that is being built is shown with its progress', async () => {
    await db.query('UPDATE consumer_groups SET building = 3')
    await db.query(
      `INSERT INTO group_cursors (group_id, generation, partition, position, began) SELECT $1, 3, id, 40, 30 FROM partitions`,
      [groupId],
    )
    await db.query('UPDATE group_cursors SET position = 70 WHERE generation = 2')
    const { built } = (await findGroup(db, { tenantId: 'default', name: 'revenue' }))!
    expect(built).toEqual({ generation: 3, share: 0.25 })
  })
})

test('a window is deleted with all that it holds', async () => {
  const kept = await makeStateful(db, { name: 'kept', kind: 'window' })
  await insertRows(db, 'window_state', [open('a', '10:00:00', '10:05:00', { generation: 3 })])
  const results = Array.from({ length: 10_001 }, (_, n) => result(`${n}`, '10:00:00', '10:05:00'))
  await insertRows(db, 'window_results', [...results, result('a', '10:00:00', '10:05:00', { group_id: kept })])
  await insertRows(db, 'late_events', [late(1, '10:00:00')])
  await deleteConsumerGroup(db, { tenantId: 'default', name: 'revenue', by: 'ada' })
  const { rows } = await db.query(`
    SELECT (SELECT count(*) FROM window_state) AS open, (SELECT count(*) FROM late_events) AS late,
           (SELECT count(*) FROM window_results) AS results`)
  expect(rows).toEqual([{ open: 0, late: 0, results: 1 }])
})

test('old results and late events are removed in chunks, younger ones stay', async () => {
  const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000)
  await insertRows(db, 'window_results', [
    ...['a', 'b', 'c'].map((key) => result(key, '10:00:00', '10:05:00', { closed_at: daysAgo(8) })),
    result('d', '10:00:00', '10:05:00', { closed_at: daysAgo(6) }),
  ])
  await insertRows(db, 'late_events', [
    late(1, '10:00:00', { recorded_at: daysAgo(8) }),
    late(2, '10:00:00', { recorded_at: daysAgo(6) }),
  ])
  expect(await removeStateHistory(db, 7, 2)).toEqual({ results: 2, lateEvents: 1, more: true })
  expect(await removeStateHistory(db, 7, 2)).toEqual({ results: 1, lateEvents: 0, more: false })
  const { rows } = await db.query('SELECT w.key, seq FROM window_results w, late_events')
  expect(rows).toEqual([{ key: 'd', seq: 2 }])
})
