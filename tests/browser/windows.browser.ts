/** Windows and joins in the console: results over time and in a table, open windows, late and waiting events. */
import { createApiKey, createTenant } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import { insertRows, makeStateful, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { describe, expect, test } from '@jest/globals'
import { findBarriersEverywhere } from './chromium.js'
import { complaints, go, openConsole, page, pipeline, see } from './opened.js'

const captured = defineEvent({ type: 'payment.captured', schema: Type.Object({ amount: Type.Number() }) })

const MINUTE = 60_000
const FIRST = Date.parse('2026-01-31T10:00:00Z')
const clock = (minutes: number) => new Date(FIRST + minutes * MINUTE).toISOString()
const micros = (minutes: number) => (FIRST + minutes * MINUTE) * 1_000

openConsole(async () => {
  const pipeline = await startPipeline([captured])
  await fill(pipeline)
  return pipeline
})

/** Thirty results of one key and one of another, an open window, a late event, and two events that wait. */
async function fill({ db }: TestPipeline): Promise<void> {
  const types = ['payment.captured']
  const group_id = await makeStateful(db, {
    name: 'revenue',
    kind: 'window',
    types,
    out_of_orderness: 30e6,
    building: 2,
  })
  const joinId = await makeStateful(db, { name: 'enriched', kind: 'join', types, idle: null })
  await db.query(
    'INSERT INTO group_cursors (group_id, generation, partition, position) SELECT $1, 2, id, 0 FROM partitions',
    [group_id],
  )
  const row = { group_id, generation: 1, partition: 0, tenant_id: 'default', key: 'user-7' }
  const results = Array.from({ length: 30 }, (_, i) => ({
    ...{ ...row, start_at: clock(5 * i), end_at: clock(5 * i + 5) },
    result: { count: (i * 7) % 11, total: ((i * 13) % 40) - 6.5, users: ['a', 'b'] },
  }))
  const other = { ...results[0]!, key: 'user-8', result: { count: 1, total: 5, users: [] } }
  await insertRows(db, 'window_results', [...results, other])
  const state = { count: 1, total: '5', users: { a: true } }
  await insertRows(db, 'window_state', [
    { ...row, start_at: micros(150), first_open: micros(150), end_at: micros(155), close_at: micros(155), state },
  ])
  await insertRows(db, 'group_watermarks', [
    { group_id, generation: 1, partition: 0, tenant_id: 'default', watermark: micros(152) },
  ])
  const event = { event_id: '0190b2c4-0000-7000-8000-0000000000aa', type: types[0], position: 0 }
  for (const id of [group_id, joinId]) {
    await insertRows(db, 'late_events', [
      { ...row, ...event, group_id: id, seq: 1, occurred_at: clock(3), watermark: clock(152) },
    ])
  }
  const waiting = { ...row, group_id: joinId, at: micros(150), expires_at: micros(160), event: {} }
  await insertRows(db, 'join_rows', [
    { ...waiting, side: 'left', seq: 1, matched: false },
    { ...waiting, side: 'right', seq: 2, key: 'user-8', matched: true },
  ])
}

const rowsIn = (name: string) => page.getByRole('region', { name }).locator('tbody tr')
const counted = (name: string, count: number) =>
  until(`${name}: ${count}`, async () => (await rowsIn(name).count()) === count)

describe('a window', () => {
  test('is in the list, with what it holds', async () => {
    await go('windows', 'Windows')
    await see(page.getByRole('row', { name: /^revenue rebuilding 1 31 1 .* payment\.captured$/ }))
    expect(await findBarriersEverywhere(page)).toEqual([])
    await page.getByRole('link', { name: 'revenue' }).click()
    await see(page.getByRole('heading', { level: 1, name: 'revenue rebuilding' }))
    await see(
      page
        .locator('.facts')
        .getByText('events that are up to 30 s out of order, and later events, or 30 s without events'),
    )
  })

  test('shows results over time of a key and an aggregate, and in a table', async () => {
    await see(page.getByRole('img', { name: /^count of user-7: 30 results from .* from 0 to 10\. Latest: 5\.$/ }))
    await counted('Results', 20)
    await page.getByRole('button', { name: 'Load older' }).click()
    await counted('Results', 31)
    await page.getByRole('link', { name: 'total', exact: true }).click()
    await see(page.getByRole('img', { name: /^total of user-7: 30 results .* from -6\.5 to 3\d/ }))
    expect(await findBarriersEverywhere(page)).toEqual([])
    await page.getByLabel('Key').fill('user-8')
    await page.getByRole('button', { name: 'Show', exact: true }).click()
    await see(page.getByRole('img', { name: /^total of user-8: 1 result from/ }))
    await counted('Results', 1)
    await see(page.getByRole('row', { name: / user-8 1 5 \[\]$/ }))
    await see(page.getByText('No window is open.'))
    await page.getByRole('link', { name: 'Clear' }).click()
    await counted('Results', 20)
  })

  test('shows its open windows and late events', async () => {
    await counted('Open windows', 1)
    await see(page.getByRole('row', { name: / user-7 \{"count":1,.*\}$/ }))
    await counted('Late events', 1)
    await see(rowsIn('Late events').getByRole('link', { name: '…000000aa' }))
  })

  test('is a group, which shows what it holds of all tenants', async () => {
    await page.getByRole('link', { name: 'Lag, pause and dead letters' }).click()
    await see(page.getByRole('heading', { level: 1, name: 'revenue unread' }))
    const facts = page.locator('.facts')
    await see(facts.getByText('1, with 31 results'))
    await see(facts.getByText(/ behind in partition 0 of the tenant default$/))
    await see(facts.getByText(/^generation 2, \d+ % of the log$/))
    expect(await findBarriersEverywhere(page)).toEqual([])
    await page.getByRole('link', { name: 'of the own tenant' }).click()
    await see(page.getByRole('heading', { level: 1, name: 'revenue rebuilding' }))
  })
})

test('a join shows the events that wait, by side, and late ones', async () => {
  await go('joins', 'Joins')
  await see(page.getByRole('row', { name: /^enriched running 2 1 – payment\.captured$/ }))
  expect(await findBarriersEverywhere(page)).toEqual([])
  await page.getByRole('link', { name: 'enriched' }).click()
  await see(page.getByRole('heading', { level: 1, name: 'enriched running' }))
  await counted('Waiting events', 2)
  await counted('Late events', 1)
  expect(await findBarriersEverywhere(page)).toEqual([])
  await page.getByLabel('Side').selectOption('right')
  await page.getByRole('button', { name: 'Show', exact: true }).click()
  await counted('Waiting events', 1)
  await see(page.getByRole('row', { name: / right yes – user-8 removed$/ }))
})

test('a window that does not exist says so', async () => {
  await go('windows/none', 'none')
  await see(page.getByText('There is no window none'))
  await see(page.getByRole('link', { name: 'All windows' }))
  // It is asked for again and again.
  expect(complaints.splice(0)).toContainEqual(expect.stringContaining('404'))
})

test('another tenant sees a window, but no link to its group, which is the operator’s', async () => {
  await createTenant(pipeline.db, 'acme', 'test')
  const { key } = await createApiKey(pipeline.db, { tenantId: 'acme', name: 'eve', scopes: ['read'] }, 'test')
  await page.evaluate(`sessionStorage.setItem('api-key', '${key}')`)
  await page.reload()
  await go('windows/revenue', 'revenue')
  await see(page.getByText('There is no result.'))
  await see(page.locator('.connection').getByText('no connection'))
  expect(await page.getByRole('link', { name: 'Lag, pause and dead letters' }).count()).toBe(0)
  expect(complaints.splice(0)).toContainEqual(expect.stringContaining('403'))
})
