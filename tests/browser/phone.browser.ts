/** Every page on a phone and on a desk, with contents that mean harm: long, without blanks, from right to left, unseen, in circles. */
import { createApiKey } from '@eventflow/db'
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { insertRows, makeStateful, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import type { Browser, Page } from 'playwright-core'
import { goTo, openPage, startBrowser } from './chromium.js'

const LONG = 'x'.repeat(200)
const LONG_TYPE = `w${'o'.repeat(199)}`
const SENTENCE = 'The seat map of the carrier has answered with something that was not expected. '
  .repeat(13)
  .slice(0, 1_000)
const FAKE = '\u202edeliaf\u202c שלום 🚀 <b>processed</b>'

/** Fails as it is told to. */
const booked = defineEvent({
  type: 'seat.booked',
  description: LONG,
  schema: Type.Object({ why: Type.Optional(Type.String()), wait: Type.Optional(Type.String()) }),
  example: { why: 'no' },
  retry: { attempts: 9, baseDelayMs: 600_000, maxDelayMs: 600_000 },
  async handle({ data }) {
    if (data.why) throw new PermanentError(data.why)
    if (data.wait) throw new Error(data.wait)
  },
})

let pipeline: TestPipeline
let browser: Browser
let page: Page
let complaints: string[]
let ids: Record<string, string>

const type = 'seat.booked'
const EVENTS = {
  plain: { type, data: {}, correlationid: 'trip' },
  long: {
    ...{
      type,
      id: LONG,
      source: `/${LONG.slice(1)}`,
      subject: LONG,
      partitionkey: LONG,
      correlationid: LONG,
      causationid: LONG,
    },
    ...{ data: { why: LONG.repeat(5), [LONG]: LONG } },
  },
  wordy: { type, data: { why: SENTENCE } },
  fake: {
    type,
    id: `${FAKE}1`,
    partitionkey: FAKE,
    correlationid: FAKE,
    causationid: FAKE,
    data: { why: FAKE, [FAKE]: FAKE },
  },
  unknown: { type: LONG_TYPE, data: {} },
  waits: { type, partitionkey: `${LONG.slice(1)}y`, data: { wait: SENTENCE } },
  loop: { type, id: 'x', source: '/0', correlationid: 'loop', data: {} },
  large: { type, data: Object.fromEntries(Array.from({ length: 19_900 }, (_, i) => [`n${i}`, 1])) },
}

beforeAll(async () => {
  pipeline = await startPipeline([booked])
  await pipeline.startWorker()
  const loop = Array.from({ length: 7 }, (_, i) => ({ ...EVENTS.loop, source: `/${i + 1}`, causationid: 'x' }))
  const chain = Array.from({ length: 40 }, (_, i) => ({
    ...{ type, id: `link ${i}`, correlationid: 'trip', causationid: `link ${i - 1}`, data: {} },
  }))
  const { items } = await pipeline.send([...Object.values(EVENTS), ...loop, ...chain])
  expect(items.filter(({ status }) => status !== 'accepted')).toEqual([])
  ids = Object.fromEntries(Object.keys(EVENTS).map((name, i) => [name, items[i]!.id!]))
  await createApiKey(pipeline.db, { tenantId: 'default', name: LONG.slice(0, 100), scopes: ['ingest', 'read'] }, FAKE)
  for (const name of [type, LONG_TYPE]) {
    const asked = { schema: { type: 'object', properties: { [LONG]: { type: 'string', description: SENTENCE } } } }
    const headers = { 'content-type': 'application/json', 'x-operator': LONG }
    await fetch(`${pipeline.url}/v1/schemas/${name}`, { method: 'PUT', headers, body: JSON.stringify(asked) })
  }
  await pipeline.db.query(
    `INSERT INTO operations (tenant_id, kind, filter, rate, requested_by, total, after_seq, until_seq, status)
     VALUES ('default', 'replay-dead-letters', $1, 1, $2, 9, 0, 9, 'interrupted')`,
    [{ key: LONG }, LONG],
  )
  await until('four are dead and one waits', async () => {
    const { rows } = await pipeline.db.query(
      'SELECT (SELECT count(*) FROM failed_events) AS dead, (SELECT count(*) FROM retries) AS waiting',
    )
    return rows[0].dead === 4 && rows[0].waiting === 1
  })
  await makeGroup()
  await makeWindows()
  browser = await startBrowser()
})

afterAll(async () => {
  await browser?.close()
  await pipeline?.stop()
})

afterEach(() => expect(complaints.splice(0)).toEqual([]))

/** A consumer group that reads all types, is paused and has dead letters. */
async function makeGroup(): Promise<void> {
  const { rows } = await pipeline.db.query(
    `INSERT INTO consumer_groups (tenant_id, name, kind, paused_for, paused_by, paused_at, reset_to, reset_by, reset_at, reset_error)
     VALUES ('default', $1, 'consumer', $2, $1, now(), '{"to": "earliest", "emitNew": false, "positions": []}', $1, now(), $2)
     RETURNING group_id`,
    [LONG, SENTENCE],
  )
  const [{ group_id: groupId }] = rows
  await pipeline.db.query(
    'INSERT INTO group_cursors (group_id, partition, position) SELECT $1, id, 0 FROM partitions',
    [groupId],
  )
  await pipeline.db.query(
    `INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
       failure_type, error_class, message, errors, component, attempts, history, worker_id, correlation_id, accepted_at)
     SELECT $1, seq, partition, seq, tenant_id, event_id, type, key, '{}', 'permanent', $2, message, '[]', 'handle', 1,
            '[]', 'w', correlation_id, accepted_at FROM failed_events`,
    [groupId, LONG],
  )
}

/** A window and a join of all types, with names, keys and results that mean harm. */
async function makeWindows(): Promise<void> {
  const { db } = pipeline
  const types = [LONG_TYPE, type]
  const group_id = await makeStateful(db, { name: `${LONG.slice(1)}w`, kind: 'window', types, idle: null })
  const joinId = await makeStateful(db, { name: `${LONG.slice(1)}j`, kind: 'join', types })
  const row = { group_id, generation: 1, partition: 0, tenant_id: 'default', key: LONG }
  const micros = Date.now() * 1_000
  const data = { [LONG]: 1e300, text: SENTENCE, fake: FAKE, count: -1 }
  const times = { start_at: '2026-01-31T10:00:00Z', end_at: '2026-01-31T10:05:00Z' }
  await insertRows(db, 'window_results', [
    { ...row, ...times, result: data },
    { ...row, ...times, key: FAKE, result: Object.fromEntries(Object.keys(EVENTS).map((name) => [name, FAKE])) },
  ])
  await insertRows(db, 'window_state', [
    { ...row, start_at: micros, first_open: micros, end_at: micros, close_at: micros, state: data },
  ])
  await insertRows(db, 'group_watermarks', [
    { group_id, generation: 1, partition: 0, tenant_id: 'default', watermark: micros },
  ])
  const event = { event_id: ids.plain, type: LONG_TYPE, position: 0, seq: 1 }
  const late = { ...row, ...event, occurred_at: times.start_at, watermark: times.end_at }
  await insertRows(db, 'late_events', [late, { ...late, group_id: joinId, key: FAKE }])
  await insertRows(db, 'join_rows', [
    { ...row, group_id: joinId, side: 'left', at: micros, seq: 1, expires_at: micros, event: {} },
  ])
}

/** Each with its heading, and with what is there when it is ready. */
const PAGES = (): [hash: string, heading: string, ready: string][] => [
  ['live', 'Live', '.troubles li.warn'],
  ['events', 'Events', 'tbody tr'],
  ['events?id=none', 'Events', '.nothing'],
  ...Object.keys(EVENTS).map((name): [string, string, string] => [`events/${ids[name]}`, '', '.timeline li']),
  ['dead-letters', 'Dead letters', 'table.rows + *, section:has(h2) tbody tr'],
  [`dead-letters?key=${LONG}&type=${type}`, 'Dead letters', 'section:has(h2) tbody tr'],
  ['dead-letters?status=discarded', 'Dead letters', '.nothing'],
  ['partitions', 'Partitions', 'tbody tr .clamped'],
  ['groups', 'Groups', 'tbody tr'],
  [`groups/${LONG}`, LONG, 'tbody tr .clamped'],
  [`groups/${LONG.slice(1)}w`, `${LONG.slice(1)}w`, 'tbody tr'],
  ['windows', 'Windows', 'tbody tr'],
  [`windows/${LONG.slice(1)}w`, `${LONG.slice(1)}w`, 'section + section + section tbody tr'],
  [`windows/${LONG.slice(1)}w?key=${LONG}`, `${LONG.slice(1)}w`, '.results rect'],
  [`windows/${LONG.slice(1)}w?key=none`, `${LONG.slice(1)}w`, '.nothing'],
  ['joins', 'Joins', 'tbody tr'],
  [`joins/${LONG.slice(1)}j`, `${LONG.slice(1)}j`, 'section + section tbody tr'],
  ['schemas', 'Schemas', 'tbody tr'],
  [`schemas/${type}`, type, 'tbody tr'],
  [`schemas/${LONG_TYPE}`, LONG_TYPE, 'tbody tr'],
  ['send', 'Send', 'form'],
  ['keys', 'API keys', 'tbody tr'],
]

/**
 * What is wrong with the layout of the page that is open, one line each: wider than `width`, buttons lower than `least` (both
 * in pixels), texts that are cut off, too small or beyond the edge, and empty rows. Runs in the browser.
 */
function findMisfits({ width, least }: { width: number; least: number }): string[] {
  const found: string[] = []
  // biome-ignore lint/suspicious/noExplicitAny: of the browser, whose types are not those of the tests.
  type Any = any
  const { document, getComputedStyle } = globalThis as Any
  const complain = (what: string, element: Any) =>
    found.push(`${what}: ${element.tagName.toLowerCase()}.${element.className} ${element.textContent.slice(0, 30)}`)
  const wide = document.documentElement.scrollWidth
  if (wide > width) found.push(`the page is ${wide} px wide`)
  for (const element of document.querySelectorAll('body *')) {
    const { width: broad, height, left, right } = element.getBoundingClientRect()
    const style = getComputedStyle(element)
    const unseen =
      element.closest('.unseen, .skip, thead, svg, .choice input, .u-wrap') || style.display === 'none' || broad === 0
    if (unseen) continue
    const scrolls = element.closest('pre, .scroll') !== null && least === 0
    const text = [...element.childNodes].some(({ nodeType, data }: Any) => nodeType === 3 && data.trim() !== '')
    if (
      !scrolls &&
      (text || element.matches('button, input, select, textarea, td')) &&
      (left < 0 || right > width + 0.5)
    )
      complain('beyond the edge', element)
    if (text && Number.parseFloat(style.fontSize) < 12) complain('too small to read', element)
    if (
      element.matches('button, a.button, input:not([type=checkbox], [type=radio]), select, summary, nav a') &&
      height < least
    )
      complain(`${height} px high`, element)
    if (element.matches('tbody tr') && (height < 16 || element.textContent === '')) complain('an empty row', element)
    const cut = element.scrollWidth > element.clientWidth + 1 && style.overflowX === 'hidden'
    const clamped = element.scrollHeight > element.clientHeight + 1 && style.overflowY === 'hidden'
    if ((cut || clamped) && !element.title) complain('cut off', element)
  }
  return found
}

async function open(name: string, width: number, height: number) {
  const opened = await openPage(browser, { width, height }, width < 1_000)
  page = opened.page
  complaints = opened.complaints
  await goTo(page, pipeline.url, 'live', 'Live')
  return name
}

describe.each([
  ['a phone', 390, 844],
  ['a small phone', 360, 640],
  ['a desk', 1_280, 800],
])('on %s', (name, width, height) => {
  const least = width < 1_000 ? 40 : 0
  beforeAll(() => open(name, width, height))
  afterAll(() => page.close())

  test('every page fits, with nothing cut off and buttons that a finger finds', async () => {
    const found: string[] = []
    for (const [hash, heading, ready] of PAGES()) {
      await goTo(page, pipeline.url, hash, heading)
      await page.locator(ready).first().waitFor()
      const misfits = await page.evaluate(findMisfits, { width, least })
      found.push(...misfits.map((misfit) => `${hash.slice(0, 30)}: ${misfit}`))
    }
    expect(found).toEqual([])
  })

  test('every dialog fits', async () => {
    const found: string[] = []
    for (const [hash, button] of [
      ['dead-letters', /^Replay all/],
      ['dead-letters', /^Discard all/],
      [`events/${ids.long}`, 'Correct'],
      ['partitions', 'Skip…'],
      ['keys', 'Create API key…'],
      ['keys', 'Revoke…'],
      [`schemas/${LONG_TYPE}`, 'New version…'],
      [`schemas/${LONG_TYPE}`, 'Change…'],
    ] as const) {
      await goTo(page, pipeline.url, hash, '')
      await page.getByRole('button', { name: button }).first().click()
      await page.locator('dialog form').waitFor()
      const misfits = await page.evaluate(findMisfits, { width, least })
      found.push(...misfits.map((misfit) => `${button}: ${misfit}`))
      await page.getByRole('button', { name: 'Close', exact: true }).click()
    }
    expect(found).toEqual([])
  })
})

describe('what events say', () => {
  beforeAll(() => open('a desk', 1_280, 800))
  afterAll(() => page.close())

  test('is shown as it is: unseen characters are seen, and markup is text', async () => {
    await goTo(page, pipeline.url, `events/${ids.fake}`, 'seat.booked')
    // Why it failed, and why a group did not handle it.
    const said = page.locator('.problem bdi').filter({ hasText: '⟨U+202E⟩deliaf⟨U+202C⟩ שלום 🚀 <b>processed</b>' })
    await said.nth(1).waitFor()
    await page.locator('.json').getByText('\\u202edeliaf').first().waitFor()
    expect(await page.locator('.problem bdi').count()).toBe(2)
    expect(await said.count()).toBe(2)
    expect(await page.locator('main b').count()).toBe(0)
    expect(await page.evaluate(`/[\\u202a-\\u202e\\u2066-\\u2069]/.test(document.body.textContent)`)).toBe(false)
  })

  test('in circles and long chains is a tree that ends', async () => {
    await goTo(page, pipeline.url, `events/${ids.loop}`, 'seat.booked')
    await page.locator('.tree').first().waitFor()
    expect(await page.locator('.tree li').count()).toBe(8)
    await goTo(page, pipeline.url, `events/${ids.plain}`, 'seat.booked')
    await page.locator('.tree').getByText('and 19 more').waitFor()
  })

  test('in twenty thousand fields is shown step by step', async () => {
    await goTo(page, pipeline.url, `events/${ids.large}`, 'seat.booked')
    await page.locator('.json').getByText('and 19,401 more').first().waitFor()
    await page.getByRole('button', { name: 'Show more' }).first().click()
    await page.locator('.json').getByText('and 14,901 more').waitFor()
  })

  test('an address that is none is no end of the page', async () => {
    await goTo(page, pipeline.url, 'events/%zz', 'Event')
    await page.getByRole('alert').first().waitFor()
    // The browser tells of every answer that is no success.
    expect(complaints.splice(0)).toEqual([expect.stringContaining('404')])
  })
})
