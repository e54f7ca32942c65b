/** A real browser, the one that the machine has. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults } from 'axe-core'
import type { Browser, Page } from 'playwright-core'

const require = createRequire(import.meta.url)

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Starts Chromium. Where there is none it says how to get one. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = PLACES.find(existsSync)
  if (!executablePath) throw new Error(`no Chromium in ${PLACES.join(', ')}: on Debian, apt-get install chromium`)
  // Required, since jest cannot import it.
  const { chromium } = require('playwright-core') as typeof import('playwright-core')
  return chromium.launch({ executablePath, args: ['--headless=new', '--no-sandbox', '--disable-gpu'] })
}

/** A page to look at, of a phone where it is asked for, and what the browser has to complain of in it. */
export async function openPage(
  browser: Browser,
  viewport = { width: 1280, height: 900 },
  phone = false,
): Promise<{ page: Page; complaints: string[] }> {
  const complaints: string[] = []
  const page = await browser.newPage({ viewport, reducedMotion: 'reduce', isMobile: phone, hasTouch: phone })
  page.setDefaultTimeout(20_000)
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  return { page, complaints }
}

/** Goes to a page of the console, and waits for its heading. */
export async function goTo(page: Page, url: string, hash: string, heading: string): Promise<void> {
  await page.goto(`${url}/#/${hash}`)
  await page.getByRole('heading', { level: 1 }).getByText(heading).first().waitFor()
}

/** What axe finds wrong in light, in dark and at the width of a phone, where nothing may be wider than the page. */
export async function findBarriersEverywhere(page: Page): Promise<string[]> {
  const found: string[] = []
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    found.push(...(await findBarriers(page)))
  }
  await page.setViewportSize({ width: 390, height: 844 })
  const wider = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
  if (wider !== 0) found.push(`${wider} px wider than a phone`)
  found.push(...(await findBarriers(page)))
  await page.setViewportSize({ width: 1280, height: 900 })
  return found
}

const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

/** What axe finds wrong with the page as it is, by WCAG 2.2 AA and good practice: one line each. */
export async function findBarriers(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<AxeResults> } }
    const { violations } = await axe.run()
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join('; ')}`)
  })
}
