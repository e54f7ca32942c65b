/** Schemas in the console: looked at, compared, checked, registered, and what failed by them replayed as another version. */
import { createApiKey, createTenant } from '@eventflow/db'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, until } from '@eventflow/testkit'
import { beforeAll, expect, test } from '@jest/globals'
import { findBarriers, findBarriersEverywhere } from './chromium.js'
import { complaints, go, openConsole, page, pipeline, see } from './opened.js'

const landed = defineEvent({
  type: 'flight.landed',
  description: 'A flight has landed.',
  schema: Type.Object({ from: Type.String(), to: Type.Optional(Type.String()) }),
})
const booked = defineEvent({ type: 'seat.booked', schema: Type.Object({}), validateAt: 'ingest' })

const OPEN = {
  type: 'object',
  properties: { from: { type: 'string' }, delay: { type: 'integer' } },
  required: ['delay'],
}

openConsole(() => startPipeline([landed, booked]))

beforeAll(async () => {
  await change('flight.landed/compatibility', { compatibility: 'NONE' })
  await change('flight.landed', { schema: OPEN })
  // The worker knows of them from its start.
  await pipeline.startWorker()
  const type = 'flight.landed'
  await pipeline.send([
    { type, data: { from: 'DTW', delay: 1, pilot: 'Ada' } },
    { type, data: { from: 'DTW', delay: 1 } },
    { type, id: 'said', data: { from: 'DTW', to: 'LAS' }, dataschema: '/v1/schemas/flight.landed/versions/1' },
    { type, id: 'old', data: { from: 'DTW', to: 'LAS' } },
  ])
  await pipeline.drained()
})

async function change(path: string, body: object) {
  const response = await fetch(`${pipeline.url}/v1/schemas/${path}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', 'x-operator': 'eve' },
    body: JSON.stringify(body),
  })
  expect(response.ok).toBe(true)
}

const changes = () => page.locator('main .changes li')

test('the types are listed, with their code and where it checks', async () => {
  await go('schemas', 'Schemas')
  await see(page.getByRole('row', { name: /^flight\.landed 2 2 NONE loaded by the worker/ }))
  await see(page.getByRole('row', { name: /^seat\.booked 1 1 BACKWARD loaded at ingest/ }))
  expect(await findBarriersEverywhere(page)).toEqual([])
})

test('by keyboard alone one gets to a version of a type, and what differs', async () => {
  await go('live', 'Live')
  await page.keyboard.press('g')
  await page.keyboard.press('c')
  await see(page.getByRole('row', { name: /^flight\.landed/ }))
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await see(page.getByRole('heading', { level: 1, name: 'flight.landed' }))
  await see(page.getByText('compared with version'))
  await page.keyboard.press('j')
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await see(page.getByRole('heading', { level: 2, name: 'Version 1' }))
})

test('a type shows its versions, what differs between two, and how it is used', async () => {
  await go('schemas/flight.landed', 'flight.landed')
  await see(page.getByText('A flight has landed. Validated by the worker: events that do not fit become dead letters.'))
  await see(page.getByText('4 of the last 20,000 events; 1 names a version.'))
  await see(
    page.getByText(/Fields that version 2 does not define: to in 33 %, pilot in 33 %|pilot in 33 %, to in 33 %/),
  )
  await see(page.getByRole('row', { name: /^2 HTTP eve/ }))
  await see(page.getByRole('row', { name: /^1 code definition .* 1$/ }))
  await see(page.getByRole('heading', { name: 'Version 2' }))
  await until('the four changes are shown', async () => (await changes().count()) === 4)
  expect((await changes().allTextContents()).sort()).toEqual([
    expect.stringMatching(/^added \/properties\/delay\{/),
    expect.stringMatching(/^added \/required"delay"$/),
    expect.stringMatching(/^removed \/properties\/to\{/),
    expect.stringMatching(/^removed \/required"from"$/),
  ])
  expect(await findBarriersEverywhere(page)).toEqual([])

  await page.getByRole('link', { name: '1', exact: true }).click()
  await see(page.getByRole('heading', { name: 'Version 1' }))
  expect(await page.getByText('compared with version').count()).toBe(0)
  expect(page.url()).toMatch(/#\/schemas\/flight\.landed\?version=1$/)
  await page.getByRole('link', { name: '1 SchemaError' }).click()
  await see(page.getByRole('row', { name: /must have required property 'delay'/ }))
})

test('an event says which version it names, and leads to it', async () => {
  await go('events?id=said', 'Events')
  await page.locator('tbody a.row').click()
  await see(page.getByText('/v1/schemas/flight.landed/versions/1'))
  await page.getByRole('link', { name: 'flight.landed', exact: true }).click()
  await see(page.getByRole('heading', { level: 2, name: 'Versions' }))
})

test('what failed by its schema is replayed as another version', async () => {
  await go('events?id=old', 'Events')
  await page.locator('tbody a.row').click()
  await page.getByRole('button', { name: 'Replay' }).click()
  await page.getByLabel('Read as schema version').selectOption('version 1')
  await page.getByLabel('Reason').fill('sent before the change')
  await page.getByLabel('Your name').fill('ada')
  await page.getByRole('button', { name: 'Replay 1' }).click()
  await see(page.getByText('finished: 1 of 1'))
  await page.getByRole('button', { name: 'Close', exact: true }).last().click()
  await see(page.locator('h1 .badge.processed'))
  await see(page.getByText('requested by ada, as version 1: sent before the change'))
  await go('dead-letters', 'Dead letters')
  await see(page.getByText('1 selected by id, as version 1'))
  await see(page.getByRole('row', { name: /ada replay dead letters as schema version 1/ }))
})

test('the mode is changed, a candidate is checked by it, and the next version registered', async () => {
  await go('schemas/flight.landed', 'flight.landed')
  await page.getByRole('button', { name: 'Change…' }).click()
  expect(await page.getByRole('radio', { name: 'NONE' }).isChecked()).toBe(true)
  expect(await findBarriers(page)).toEqual([])
  await page.getByRole('radio', { name: /^BACKWARD data/ }).check()
  await page.getByRole('button', { name: 'Save' }).click()
  await see(page.locator('.facts dd').filter({ hasText: /^BACKWARD\b/ }))

  await page.getByRole('button', { name: 'New version…' }).click()
  const dialog = page.getByRole('dialog')
  const candidate = dialog.getByLabel('Schema', { exact: true })
  await candidate.fill('{')
  expect(await dialog.getByRole('button', { name: 'Register' }).isDisabled()).toBe(true)
  await candidate.fill(JSON.stringify({ ...OPEN, properties: { ...OPEN.properties, delay: { type: 'string' } } }))
  await see(dialog.locator('.changes li').getByText('/properties/delay/type'))
  await dialog.getByRole('button', { name: 'Check' }).click()
  await see(dialog.locator('.problem').getByText('Not BACKWARD compatible.'))
  await see(dialog.locator('.problem code').getByText('/properties/delay'))
  expect(await findBarriers(page)).toEqual([])
  await dialog.getByRole('button', { name: 'Register' }).click()
  await see(dialog.getByRole('alert').getByText(/The schema is not compatible with earlier versions/))
  // The browser tells of every answer that is no success.
  expect(complaints.splice(0)).toEqual([expect.stringContaining('409')])

  await candidate.fill(JSON.stringify({ ...OPEN, required: [] }))
  await dialog.getByRole('button', { name: 'Check' }).click()
  await see(dialog.getByText('The schema can be registered: it is BACKWARD compatible.'))
  await dialog.getByRole('button', { name: 'Register' }).click()
  await see(page.getByRole('heading', { name: 'Version 3' }))
  await until('the one change is shown', async () => (await changes().count()) === 1)
  expect(await changes().allTextContents()).toEqual([expect.stringMatching(/^removed \/required"delay"$/)])
  const { rows } = await pipeline.db.query(
    `SELECT action, subject FROM audit_log WHERE actor = 'ada' AND action ~ 'schema' ORDER BY id`,
  )
  expect(rows).toEqual([
    { action: 'set-schema-compatibility', subject: 'BACKWARD for flight.landed' },
    { action: 'register-schema', subject: 'flight.landed version 3' },
  ])
})

test('a type that has no code is given a schema by hand', async () => {
  await go('schemas', 'Schemas')
  await page.getByRole('button', { name: 'New event type…' }).click()
  await page.getByLabel('Type', { exact: true }).fill('parcel.sent')
  await page.getByRole('button', { name: 'Register' }).click()
  await see(page.getByRole('heading', { level: 1, name: 'parcel.sent' }))
  await see(page.getByText('No definition is loaded: events of this type become dead letters.'))
  await page.goto('about:blank')
  await go('schemas/none.such', 'Schema')
  await see(page.getByText('No schema of the type none.such is registered'))
  await until('both requests have failed', async () => complaints.length >= 1)
  expect(complaints.splice(0)).toEqual([expect.stringContaining('404')])
})

test('a tenant sees its own, and only an admin changes something', async () => {
  const locked = await startPipeline([landed], { EVENTFLOW_AUTH: 'required' })
  const keyOf = async (tenantId: string, scopes: ('read' | 'admin')[]) =>
    (await createApiKey(locked.db, { tenantId, name: 'eve', scopes }, 'test')).key
  await createTenant(locked.db, 'acme', 'test')
  const useKey = async (key: string) => {
    await page.goto('about:blank')
    await page.goto(`${locked.url}/#/schemas`)
    await page.evaluate(`sessionStorage.setItem('api-key', '${key}')`)
    await page.reload()
    await see(page.getByRole('row', { name: /^flight\.landed/ }))
  }
  const register = async (type: string) => {
    await page.getByRole('button', { name: 'New event type…' }).click()
    await page.getByLabel('Type', { exact: true }).fill(type)
    await page.getByLabel('Your name').fill('ada')
    await page.getByRole('button', { name: 'Register' }).click()
  }
  try {
    await useKey(await keyOf('acme', ['read', 'admin']))
    await register('acme.only')
    await see(page.getByRole('heading', { level: 1, name: 'acme.only' }))
    await useKey(await keyOf('default', ['read']))
    expect(await page.getByRole('row', { name: /acme\.only/ }).count()).toBe(0)
    complaints.splice(0)
    await register('mine.not')
    await see(page.getByText('This needs an API key with the scope admin'))
    expect(complaints.splice(0)).toEqual([expect.stringContaining('403')])
  } finally {
    await page.goto('about:blank')
    await locked.stop()
    complaints.splice(0)
  }
})
