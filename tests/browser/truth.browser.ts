/** The problems on the console: in words, in colours, and never understated. */
import { defineEvent, PermanentError, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Browser, Page } from 'playwright-core'
import { findBarriersEverywhere, goTo, openPage, startBrowser } from './chromium.js'

const booked = defineEvent({
  type: 'seat.booked',
  schema: Type.Object({ flight: Type.String() }),
  async handle({ data }) {
    if (data.flight === 'none') throw new PermanentError('there is no such flight')
  },
})

let pipeline: TestPipeline
let browser: Browser
let page: Page

beforeAll(async () => {
  pipeline = await startPipeline([booked])
  await pipeline.startWorker()
  browser = await startBrowser()
  page = (await openPage(browser)).page
})

afterAll(async () => {
  await browser?.close()
  await pipeline?.stop()
})

const book = (flight: string) => ({ type: 'seat.booked', data: { flight } })

const figure = (name: string) => page.locator('.figures div').filter({ hasText: name })

test('an error rate of 1 % is a problem in words, and its figure has the same colour', async () => {
  await pipeline.send([book('LH 1')])
  await goTo(page, pipeline.url, 'live', 'Live')
  await page.locator('.well').getByText('No problems.').waitFor()
  expect(await figure('Error rate').getAttribute('class')).toBe('')

  await pipeline.send(Array.from({ length: 299 }, (_, i) => book(i % 100 === 0 ? 'none' : 'LH 1')))
  const said = page.locator('.troubles li.warn')
  await said.getByText('1 % of the events settled in the last 5 minutes failed (3 of 300)').waitFor()
  await page.locator('.troubles li.info').getByText('3 open dead letters').waitFor()
  expect(await figure('Error rate').textContent()).toBe('Error rate, 5 min1 %')
  expect(await figure('Error rate').getAttribute('class')).toBe('warn')
  expect(await figure('Dead letters').getAttribute('class')).toBe('info')
  const colourOf = (selector: string) => page.evaluate(`getComputedStyle(document.querySelector('${selector}')).color`)
  expect(await colourOf('.figures .warn dd')).toBe(await colourOf('.troubles li.warn .level'))
  expect(await page.getByText('No problems').count()).toBe(0)
  expect(await findBarriersEverywhere(page)).toEqual([])
})

test('without a connection it shows neither problems nor their absence', async () => {
  await pipeline.app.close()
  await page.getByRole('alert').getByText('The figures below are from').waitFor()
  expect(await page.locator('.troubles').count()).toBe(0)
  expect(await page.getByText('No problems').count()).toBe(0)
})
