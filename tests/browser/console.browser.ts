/** The console as people use it: every page and action, in a real browser, on a pipeline with real failures. */
import { createApiKey, revokeApiKey } from '@eventflow/db'
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { startPipeline, until } from '@eventflow/testkit'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { findBarriers, findBarriersEverywhere, openPage } from './chromium.js'
import { browser, complaints, go, openConsole, page, pipeline, see } from './opened.js'

/** Refuses what is bad until it is forgiven, and never gets on with what is sad. */
const booked = defineEvent({
  type: 'seat.booked',
  description: 'A seat was booked.',
  schema: Type.Object({
    flight: Type.String({ minLength: 2, description: 'Carrier and number' }),
    mood: Type.Optional(Type.String()),
    passenger: Type.String({ 'x-sensitive': true }),
  }),
  example: { flight: 'LH 400', passenger: 'Ada' },
  key: (data) => data.flight,
  retry: { attempts: 9, baseDelayMs: 600_000, maxDelayMs: 600_000 },
  async handle({ data }) {
    if (data.mood === 'bad' && !forgiven) throw new PermanentError(`a seat of ${data.flight} is taken`)
    if (data.mood === 'sad') throw new Error('the seat map is away')
  },
})

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'

let forgiven = false
openConsole(async () => {
  const pipeline = await startPipeline([booked], { EVENTFLOW_TRACE_URL: 'http://traces.test/{trace_id}' })
  await pipeline.startWorker()
  return pipeline
})

const book = (flight: string, mood?: string, more: object = {}) => ({
  type: 'seat.booked',
  data: { flight, passenger: 'Ada', ...(mood && { mood }) },
  ...more,
})

describe('the first visit', () => {
  test('tells how to send an event, and says when it is settled', async () => {
    await go('', 'Live')
    await see(page.getByText('There are no events yet.'))
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Send it from here' }).click()
    await see(page.getByText('Your first event is settled.'))
    await see(page.getByText('No problems.'))
  })
})

describe('with events and failures', () => {
  beforeAll(async () => {
    await pipeline.send([
      book('DFW 7', 'sad'),
      book('DFW 7'),
      book('LH 1', undefined, { id: 'order 1', correlationid: 'trip 1' }),
      book('LH 2', 'bad', {
        ...{ correlationid: 'trip 1', causationid: 'order 1' },
        traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
      }),
      ...Array.from({ length: 30 }, (_, i) => book(`AB ${i}`, 'bad')),
    ])
    await until('they have failed', async () => {
      const { rows } = await pipeline.db.query('SELECT count(*) AS count FROM failed_events')
      return rows[0].count === 31
    })
  })

  test('Live says in words what is wrong, and who works', async () => {
    await go('live', 'Live')
    await see(page.getByText(/^Key DFW 7 .*: attempt 1 of 9 failed, .*: the seat map is away/))
    await see(page.getByRole('rowheader', { name: /worker-1/ }))
    await see(page.getByRole('img', { name: /Events per second. Now: accepted/ }))
    await page.getByText('1 h', { exact: true }).click()
    expect(await page.getByRole('radio', { name: '1 h' }).isChecked()).toBe(true)
  })

  test('Events are searched by what is asked for, and the address says so', async () => {
    await go('events', 'Events')
    await page.getByLabel('Search by').selectOption('key')
    await page.getByLabel('Search for').fill('DFW 7')
    await page.getByRole('button', { name: 'Search' }).click()
    await until('two are found', async () => (await page.locator('tbody tr').count()) === 2)
    expect(page.url()).toMatch(/#\/events\?key=DFW\+7$/)
    await page.getByLabel('Status').selectOption('retrying')
    await page.getByRole('button', { name: 'Search' }).click()
    await until('one is found', async () => (await page.locator('tbody tr').count()) === 1)
    await page.getByText('Also available as').click()
    await see(page.getByText(/AND key = 'DFW 7'\s+AND status = 'retrying'/))
    await see(page.getByText("eventflow events list --key 'DFW 7' --status retrying"))
  })

  test('Events are searched by type and time', async () => {
    await go('events', 'Events')
    await page.getByLabel('Type').selectOption('seat.booked')
    await page.getByLabel('From', { exact: true }).fill('2001-01-01T00:00:00')
    await page.getByLabel('To', { exact: true }).fill('2001-01-02T00:00:00')
    await page.getByRole('button', { name: 'Search' }).click()
    await see(page.getByText('No event matches.'))
    await page.getByLabel('To', { exact: true }).fill('')
    await page.getByRole('button', { name: 'Search' }).click()
    await until('they are found', async () => (await page.locator('tbody tr').count()) > 30)
  })

  test('one event shows what happened, what caused it, and hides what is sensitive', async () => {
    await go('events?correlation_id=trip+1', 'Events')
    await page.locator('tbody tr').filter({ hasText: 'failed' }).getByRole('link').click()
    await see(page.getByRole('heading', { level: 1 }).getByText('seat.booked'))
    await see(page.getByText('a seat of LH 2 is taken'))
    expect(await page.locator('.timeline .what').allTextContents()).toEqual([
      'accepted',
      expect.stringMatching(/^attempt 1 failed/),
      expect.stringMatching(/^failed/),
    ])
    await see(page.locator('.tree > li > ul > li a[aria-current]'))
    const trace = page.getByRole('link', { name: TRACE })
    expect(await trace.getAttribute('href')).toBe(`http://traces.test/${TRACE}`)
    expect(await page.locator('.json').textContent()).toContain('"passenger": hidden')
    await page.getByRole('button', { name: 'Show sensitive fields' }).click()
    await see(page.locator('.json').filter({ hasText: '"passenger": "Ada"' }))
  })

  test('dead letters are shown by kind: how many, since when, and how it went', async () => {
    await go('dead-letters', 'Dead letters')
    const kind = page.getByRole('row', { name: /^seat\.booked PermanentError 31 / })
    await see(kind)
    expect(await kind.locator('time').count()).toBe(2)
    expect(await kind.locator('.spark rect').count()).toBeGreaterThan(1)
  })

  test('an operation that was interrupted is resumed, and one under way is cancelled', async () => {
    await go('dead-letters?key=none', 'Dead letters')
    const { rows } = await pipeline.db.query(
      `INSERT INTO operations (tenant_id, kind, filter, rate, requested_by, total, after_seq, until_seq, status)
       SELECT 'default', 'replay-dead-letters', '{"key": "none"}', 1, 'eve', 9, 0, 9, status
       FROM unnest('{interrupted,interrupted}'::text[]) AS status RETURNING id`,
    )
    expect(rows.length).toBe(2)
    const waiting = page.locator('.operations li').filter({ hasText: 'interrupted' })
    await until('both are shown', async () => (await waiting.count()) === 2)
    await waiting.first().getByRole('button', { name: 'Resume' }).click()
    await see(page.locator('.operations li').filter({ hasText: 'finished' }))
    await waiting.first().getByRole('button', { name: 'Cancel' }).click()
    await see(page.locator('.operations li').filter({ hasText: 'cancelled' }))
  })

  test('dead letters are corrected one by one', async () => {
    await go('dead-letters?key=AB+0', 'Dead letters')
    await page.locator('tbody tr').filter({ hasText: 'a seat of AB 0 is taken' }).getByRole('link').click()
    await page.getByRole('button', { name: 'Correct' }).click()
    const data = page.getByLabel('Data')
    expect(JSON.parse(await data.inputValue())).toMatchObject({ flight: 'AB 0' })
    await data.fill('{"flight": ')
    await page.getByLabel('Your name').fill('ada')
    await page.getByRole('button', { name: 'Send event' }).click()
    await see(page.getByRole('alert').getByText('JSON'))
    await data.fill('{"flight": "AB 0", "passenger": "Ada"}')
    await page.getByRole('button', { name: 'Send event' }).click()
    await see(page.locator('h1 .badge.processed'))
    await see(page.locator('.tree .badge.discarded'))
  })

  test('all that match are discarded or replayed, after a dry run, with progress and an audit trail', async () => {
    await go('dead-letters', 'Dead letters')
    await page.getByLabel('Key').fill('AB 1')
    await page.getByRole('button', { name: 'Filter' }).click()
    await page.getByRole('button', { name: 'Discard all 1 matching…' }).click()
    await see(page.getByText('1 dead letter matches.'))
    await page.getByLabel('Reason').fill('sent twice')
    await page.getByLabel('Your name').fill('ada')
    await page.getByRole('button', { name: 'Discard 1' }).click()
    await see(page.getByText('finished: 1 of 1'))
    await page.getByRole('button', { name: 'Close', exact: true }).last().click()

    forgiven = true
    await page.getByRole('button', { name: 'Remove the filter key' }).click()
    await page.getByRole('link', { name: 'seat.booked' }).first().click()
    await page.getByRole('button', { name: 'Replay all 29 matching…' }).click()
    await see(page.getByText('29 dead letters match.'))
    expect(await findBarriers(page)).toEqual([])
    await page.getByLabel('Events per second').fill('1000')
    await page.getByRole('button', { name: 'Replay 29' }).click()
    await see(page.getByText('finished: 29 of 29'))
    await page.getByRole('button', { name: 'Close', exact: true }).last().click()
    await see(page.getByRole('row', { name: /ada replay dead letters/ }))
    await see(page.getByRole('row', { name: /ada discard dead letters .*sent twice/ }))
    await page.getByRole('link', { name: 'replayed', exact: true }).click()
    await see(page.getByRole('row', { name: /PermanentError 29/ }))
  })

  test('a key that waits is shown with what waits behind it, and its head is skipped', async () => {
    await go('partitions', 'Partitions')
    const row = page.getByRole('row', { name: /DFW 7/ })
    expect(await row.getByRole('cell').nth(1).textContent()).toBe('1')
    const partitions = page.getByRole('region', { name: 'Partitions' })
    await until('all are listed', async () => (await partitions.locator('tbody tr').count()) === 16)
    await see(partitions.getByRole('row', { name: /^0 worker-1 1 (stream|Postgres)/ }))
    await row.getByRole('button', { name: 'Skip…' }).click()
    await page.getByLabel('Reason').fill('no seat map today')
    await page.getByRole('button', { name: 'Skip event' }).click()
    await see(page.getByText('No key is blocked.'))
    const { rows } = await pipeline.db.query(`SELECT message FROM failed_events WHERE error_class = 'Skipped'`)
    expect(rows).toEqual([{ message: 'skipped by ada: no seat map today' }])
  })

  test('an event is written and sent by hand, and watched', async () => {
    await go('send', 'Send')
    await see(page.getByText('text, 2 or more characters'))
    const data = page.getByLabel('Data')
    await data.fill('{')
    expect(await page.getByRole('button', { name: 'Send', exact: true }).isDisabled()).toBe(true)
    await data.fill('{"flight": "LH 9", "passenger": "Bob"}')
    await page.getByRole('button', { name: 'Send', exact: true }).click()
    await see(page.locator('.sent .badge.processed'))
  })
})

describe('keys', () => {
  test('are made, shown once, and revoked', async () => {
    await go('keys', 'API keys')
    await see(page.getByText('There are no API keys.'))
    await page.getByRole('button', { name: 'Create API key…' }).click()
    await page.getByLabel('Name').fill('checkout')
    await page.getByRole('checkbox', { name: /^read/ }).check()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Create key' }).click()
    expect(await page.locator('dialog pre').textContent()).toMatch(/^ef_/)
    await page.getByRole('button', { name: 'Done' }).click()
    await page
      .getByRole('row', { name: /checkout.*ingest, read/ })
      .getByRole('button', { name: 'Revoke…' })
      .click()
    await page.getByRole('button', { name: 'Revoke key' }).click()
    await see(page.getByRole('row', { name: /checkout.*revoked/ }))
  })

  test('are asked for where they are needed, once, and what they do not open is said', async () => {
    const locked = await startPipeline([booked], { EVENTFLOW_AUTH: 'required' })
    const { key } = await createApiKey(locked.db, { tenantId: 'default', name: 'eve', scopes: ['read'] }, 'test')
    try {
      await page.goto(`${locked.url}/#/events`)
      const dialog = page.getByRole('dialog', { name: 'API key required' })
      await dialog.getByLabel('Key').fill(key)
      await dialog.getByRole('button', { name: 'Use key' }).click()
      await see(page.getByText('No event matches.'))
      await see(page.locator('.connection').getByText('live', { exact: true }))
      complaints.splice(0)
      await page.goto(`${locked.url}/#/keys`)
      await see(page.getByText('This needs an API key with the scope admin'))
      expect(complaints.splice(0)).toEqual([expect.stringContaining('403')])
    } finally {
      await page.goto('about:blank')
      await locked.stop()
    }
  })

  test('that are revoked are said to be, and another one is asked for, once', async () => {
    const locked = await startPipeline([booked], { EVENTFLOW_AUTH: 'required' })
    const of = (name: string) => createApiKey(locked.db, { tenantId: 'default', name, scopes: ['read'] }, 'test')
    const [first, second] = [await of('first'), await of('second')]
    const { page } = await openPage(browser)
    const connection = page.locator('.connection')
    let asked = 0
    page.on('request', () => asked++)
    try {
      await page.clock.install()
      await page.goto(`${locked.url}/#/partitions`)
      const dialog = page.getByRole('dialog', { name: 'API key required' })
      await dialog.getByLabel('Key').fill(first.key)
      await dialog.getByRole('button', { name: 'Use key' }).click()
      await see(connection.getByText('live', { exact: true }))
      await revokeApiKey(locked.db, { tenantId: 'default', id: first.id }, 'test')
      await see(dialog.getByText('The key was refused.'))
      await see(connection.getByText('no connection'))
      await dialog.getByRole('button', { name: 'Close' }).click()
      asked = 0
      await page.clock.fastForward(60_000)
      await page.clock.fastForward(60_000)
      expect(asked).toBe(0)
      await connection.getByRole('button', { name: 'Enter key' }).click()
      await dialog.getByLabel('Key').fill(second.key)
      await dialog.getByRole('button', { name: 'Use key' }).click()
      await see(connection.getByText('live', { exact: true }))
      await connection.getByRole('button').waitFor({ state: 'detached' })
    } finally {
      await page.close()
      await locked.stop()
    }
  })
})

describe('everybody can use it', () => {
  const PAGES = [
    ['live', 'Live'],
    ['events', 'Events'],
    ['dead-letters?status=discarded', 'Dead letters'],
    ['partitions', 'Partitions'],
    ['send', 'Send'],
    ['keys', 'API keys'],
  ] as const

  test.each(PAGES)('%s has no barriers, light or dark, and fits a phone', async (hash, heading) => {
    await go(hash, heading)
    await see(page.locator('table, form').first())
    expect(await findBarriersEverywhere(page)).toEqual([])
  })

  test('by keyboard alone', async () => {
    await go('live', 'Live')
    await page.keyboard.press('g')
    await page.keyboard.press('e')
    await see(page.getByRole('heading', { level: 1, name: 'Events' }))
    await until(
      'the heading has the focus',
      async () => (await page.evaluate('document.activeElement.tagName')) === 'H1',
    )
    await page.keyboard.press('/')
    await until('the search has the focus', async () => (await page.evaluate('document.activeElement.id')) === 'search')
    await page.keyboard.type('order 1')
    await page.keyboard.press('Enter')
    await until('one is found', async () => (await page.locator('tbody tr').count()) === 1)
    await page.evaluate('document.activeElement.blur()')
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await see(page.getByRole('heading', { level: 1, name: 'seat.booked' }))
    await page.keyboard.press('?')
    await see(page.getByRole('dialog', { name: 'Shortcuts' }))
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    const theme = () => page.evaluate('document.documentElement.dataset.theme')
    const before = await theme()
    await page.keyboard.press('t')
    expect(await theme()).not.toBe(before)
  })
})
