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
