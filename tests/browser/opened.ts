/** The console of a pipeline in a browser, opened once for the tests of a file. */
import type { TestPipeline } from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals'
import type { Browser, Page } from 'playwright-core'
import { goTo, openPage, startBrowser } from './chromium.js'

export let pipeline: TestPipeline
export let browser: Browser
export let page: Page
/** A test fails if the browser has had something to complain of; take out what is expected. */
export let complaints: string[]

/** Starts the pipeline and opens the page before the tests, and closes both after them. */
export function openConsole(start: () => Promise<TestPipeline>): void {
  beforeAll(async () => {
    pipeline = await start()
    browser = await startBrowser()
    const opened = await openPage(browser)
    page = opened.page
    complaints = opened.complaints
  })

  afterAll(async () => {
    await browser?.close()
    await pipeline?.stop()
  })

  afterEach(() => expect(complaints.splice(0)).toEqual([]))
}

export const go = (hash: string, heading: string) => goTo(page, pipeline.url, hash, heading)

export const see = (what: ReturnType<Page['locator']>) => what.first().waitFor()
