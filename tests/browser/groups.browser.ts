/** Consumer groups in the console: one that lags, is paused and resumed, is reset, and has dead letters. */
import { type AcceptedEvent, defineConsumer, defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { startPipeline, until } from '@eventflow/testkit'
import { describe, expect, test } from '@jest/globals'
import { findBarriers, findBarriersEverywhere } from './chromium.js'
import { complaints, go, openConsole, page, pipeline, see } from './opened.js'

const captured = defineEvent({
  type: 'payment.captured',
  schema: Type.Object({ order: Type.Integer(), currency: Type.Optional(Type.String()) }),
  key: ({ order }) => `order ${order}`,
})
const issued = defineEvent({ type: 'invoice.issued', schema: Type.Object({ order: Type.Integer() }) })

type Captured = AcceptedEvent<{ order: number; currency?: string }>

/** Makes an invoice of each payment whose currency it knows. */
const invoicing = defineConsumer<{ order: number; currency?: string }>({
  name: 'invoicing',
  version: 3,
  events: ['payment.captured'],
  from: 'earliest',
  reset: async () => {},
  handle: async ({ data: { order, currency } }: Captured, tx) => {
    if (currency !== undefined && !known.has(currency)) throw new PermanentError(`no account for ${currency}`)
    await tx.emit({ type: 'invoice.issued', data: { order } })
  },
})

const known = new Set<string>()
openConsole(async () => {
  const pipeline = await startPipeline([captured, issued], {}, [invoicing])
  await pipeline.startWorker()
  return pipeline
})

const pay = (order: number, currency?: string, more = {}) => ({
  type: 'payment.captured',
  data: { order, ...(currency && { currency }) },
  ...more,
})

const countOf = async (table: string, where = 'true'): Promise<number> =>
  (await pipeline.db.query(`SELECT count(*) AS count FROM ${table} WHERE ${where}`)).rows[0].count

const row = (name: RegExp) => page.getByRole('row', { name })

describe('a group', () => {
  test('is in the list, with what it has handled and failed to handle', async () => {
    await pipeline.send([
      pay(1, undefined, { id: 'first', correlationid: 'trip' }),
      pay(2),
      pay(3, 'XTS'),
      pay(4, 'XXX'),
    ])
    await until('two are dead', async () => (await countOf('group_dead_letters')) === 2)
    await go('groups', 'Groups')
    await see(row(/^invoicing consumer running 0 – 0 2 payment\.captured$/))
    expect(await findBarriersEverywhere(page)).toEqual([])
    await page.getByRole('link', { name: 'invoicing' }).click()
    await see(page.getByRole('heading', { level: 1, name: 'invoicing running' }))
    await see(page.locator('.facts').getByText('worker-1'))
    const partitions = page.getByRole('region', { name: 'Partitions' })
    await until('all are listed', async () => (await partitions.locator('tbody tr').count()) === 16)
  })

  test('is paused with a reason, falls behind, and is resumed', async () => {
    await page.getByRole('button', { name: 'Pause…' }).click()
    await page.getByLabel('Reason').fill('the accounts are moved')
    await page.getByLabel('Your name').fill('ada')
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Pause group' }).click()
    await see(page.getByRole('heading', { level: 1, name: 'invoicing paused' }))
    await see(page.locator('.facts').getByText(/ by ada.*: the accounts are moved/))
    let order = 100
    await until('it is behind', async () => {
      await pipeline.send([pay(order++)])
      return page
        .locator('.facts')
        .getByText(/^\d+ events?, .* behind$/)
        .isVisible()
    })
    expect(await findBarriersEverywhere(page)).toEqual([])
    await page.getByRole('button', { name: 'Resume…' }).click()
    await page.getByRole('button', { name: 'Resume group' }).click()
    await see(page.getByRole('heading', { level: 1, name: 'invoicing running' }))
    await see(page.locator('.facts').getByText('0 events', { exact: true }))
  })

  test('with dead letters is a problem on Live', async () => {
    await go('live', 'Live')
    const trouble = page.locator('.troubles li').filter({ hasText: 'Group invoicing has 2 open dead letters' })
    await trouble.getByRole('link', { name: 'Open group' }).click()
    await see(page.getByRole('heading', { level: 1, name: 'invoicing running' }))
  })

  test('shows its dead letters by error; one is discarded, the others are replayed', async () => {
    const dead = page.getByRole('region', { name: 'Dead letters' })
    await see(dead.getByText('no account for XTS'))
    await dead.getByRole('row', { name: /XXX/ }).getByRole('button', { name: 'Discard…' }).click()
    await see(page.getByText('1 dead letter matches.'))
    await see(page.locator('.samples').getByText('no account for XXX'))
    await page.getByLabel('Reason').fill('no currency')
    await page.getByRole('button', { name: 'Discard 1' }).click()
    await see(page.getByText('1 discarded'))
    await page.getByRole('button', { name: 'Close', exact: true }).last().click()
    await until('one is left', async () => (await dead.locator('tbody tr').count()) === 1)

    known.add('XTS')
    await dead.getByRole('link', { name: 'PermanentError' }).click()
    await see(page.getByText('error class: PermanentError'))
    await dead.getByRole('button', { name: 'Replay…' }).click()
    await page.getByRole('button', { name: 'Replay 1' }).click()
    await see(page.getByText('1 replayed'))
    await page.getByRole('button', { name: 'Close', exact: true }).last().click()
    await see(page.getByText('No open dead letters.'))
    await until('it is handled', async () => (await countOf('group_dead_letters', `status = 'replayed'`)) === 1)
    await page.getByRole('link', { name: 'discarded' }).click()
    await see(dead.getByText(/^ by ada.*: no currency$/))
    expect(await findBarriersEverywhere(page)).toEqual([])
    await dead.locator('tbody tr').getByRole('link').first().click()
    await see(page.getByText('Dead letter of the group invoicing, discarded: PermanentError: no account for XXX'))
    expect(await findBarriersEverywhere(page)).toEqual([])
    await page.getByRole('link', { name: 'invoicing' }).click()
    await see(page.getByRole('heading', { level: 1, name: 'invoicing running' }))
  })

  test('is reset after a dry run', async () => {
    await page.getByRole('button', { name: 'Reset…' }).click()
    await page.getByRole('dialog').getByRole('combobox').selectOption('the end of the log')
    await page.getByRole('button', { name: 'Show what it would do' }).click()
    await see(page.getByText('The group is there already'))
    await page.getByRole('dialog').getByRole('combobox').selectOption('the beginning of the log')
    await page.getByText('The group is there already').waitFor({ state: 'detached' })
    const payments = await countOf('processed_events', `type = 'payment.captured'`)
    await page.getByRole('button', { name: 'Show what it would do' }).click()
    await see(page.getByText(`${payments} events would be handled again, and 0 events skipped.`))
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Reset group' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await see(page.locator('.facts').getByText('0 events', { exact: true }))
  })

  test('and what it emits is below its cause on the page of the event', async () => {
    await go('events?correlation_id=trip', 'Events')
    await page.locator('tbody tr').filter({ hasText: 'payment.captured' }).getByRole('link').click()
    await see(page.locator('.tree > li > a[aria-current]').getByText('payment.captured'))
    await see(page.locator('.tree > li > ul > li').getByText('invoice.issued'))
  })
})

test('a group that no worker reads says so', async () => {
  await pipeline.db.query(`INSERT INTO consumer_groups (tenant_id, name, kind) VALUES ('default', 'left', 'consumer')`)
  await go('groups', 'Groups')
  await see(row(/^left consumer unread /))
  await row(/^left /)
    .getByRole('link')
    .click()
  await see(page.getByText('no worker', { exact: true }))
  await go('groups/none', 'none')
  await see(page.getByText('There is no consumer group none'))
  expect(complaints.splice(0)).toEqual([expect.stringContaining('404')])
})
