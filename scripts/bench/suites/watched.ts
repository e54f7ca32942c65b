/** The cost of an open live page to the pipeline, and the load on the page itself. */
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type Browser, type CDPSession, chromium } from 'playwright-core'
import { differences } from '../measure.js'
import type { Stack } from '../stack.js'
import { spreadOf } from '../statistics.js'
import { type EventFlow, startEventFlow } from '../variants/eventflow.js'

export interface Watched {
  /** Events a second. */
  rate: number
  /** How long the page was open in the browser. */
  seconds: number
  /**
   * Processor time of ingest, worker, Postgres and Redis for each event: with no page open, with a page open on another
   * machine, and with the browser on this machine, where it takes its share of the processors and their caches too.
   */
  cpuMicroseconds: { unwatched: number; elsewhere: number; here: number }
  /** Tasks that blocked the page for more than 50 ms. */
  longTasks: { count: number; longestMs: number }
  /** Its memory after garbage collection. */
  memory: { first: PageMemory; last: PageMemory }
}

interface PageMemory {
  heapBytes: number
  /** Nodes of the document, and detached ones. */
  nodes: number
}

/** Called with the current step. */
type OnProgress = (what: string) => void

const CHROMIUM = '/usr/bin/chromium'
const RATE = 2_000
const CONNECTIONS = 64
/** A newly opened page first draws the last hour. */
const SETTLING_MS = 5_000

/** The compared states alternate, each for this share of the time. */
const TURN = 1 / 8

/**
 * Drives a pipeline at a fixed rate: alternately unwatched and watched from elsewhere, and then with the page open in a
 * browser.
 */
export async function measureWatched(stack: Stack, seconds: number, onProgress: OnProgress): Promise<Watched> {
  if (!existsSync(CHROMIUM)) throw new Error(`there is no ${CHROMIUM}: on Debian, apt-get install chromium`)
  await stack.reset()
  let browser: Browser | undefined
  try {
    const pipeline = await startEventFlow(stack, { connections: CONNECTIONS }, {})
    const drive = await driver(stack, pipeline, onProgress)
    const turn = seconds * TURN
    await drive(turn, 'warming up')
    const turns: { unwatched: number; elsewhere: number }[] = []
    while (turns.length < 3) {
      const unwatched = await drive(turn, 'unwatched')
      const stopReading = readFigures(pipeline.urls[0]!)
      turns.push({ unwatched, elsewhere: await drive(turn, 'watched from elsewhere') })
      await stopReading()
    }
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--headless=new', '--no-sandbox'] })
    const page = await openLivePage(browser, pipeline.urls[0]!)
    const first = await page.memory()
    await page.forgetLongTasks()
    const here = await drive(seconds, 'open in a browser')
    const longTasks = await page.longTasks()
    const memory = { first, last: await page.memory() }
    const median = (of: 'unwatched' | 'elsewhere') => spreadOf(turns.map((figures) => figures[of])).median
    const cpuMicroseconds = { unwatched: median('unwatched'), elsewhere: median('elsewhere'), here }
    return { rate: RATE, seconds, cpuMicroseconds, longTasks, memory }
  } finally {
    await browser?.close()
    await stack.stopPrograms()
  }
}

/** Returns a function that drives the pipeline for a time and returns the cost of an event. */
async function driver(stack: Stack, pipeline: EventFlow, onProgress: OnProgress) {
  let sent = 0
  return async (seconds: number, what: string): Promise<number> => {
    const before = stack.cpuSeconds()
    const { events } = await pipeline.drive({ seconds, rate: RATE }, (count) =>
      onProgress(`${what}  ${count.toLocaleString('en')} events`),
    )
    sent += events
    await pipeline.drained(sent)
    const { generator: _, bench: __, ...pipelines } = differences(stack.cpuSeconds(), before)
    const cpuSeconds = Object.values(pipelines).reduce((sum, role) => sum + role, 0)
    return (cpuSeconds / events) * 1e6
  }
}

/** Reads what the page reads, once a second, and discards it. Returns the function that ends this. */
function readFigures(url: string): () => Promise<void> {
  const stopping = new AbortController()
  const reading = fetch(`${url}/v1/live`, { signal: stopping.signal })
    .then(({ body }) => body?.pipeTo(new WritableStream()))
    .catch((error) => {
      if (!stopping.signal.aborted) throw error
    })
  return async () => {
    stopping.abort()
    await reading
  }
}

/** Records each long task, from the first moment of the page. */
const OBSERVE = `
  globalThis.longTasks = []
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longTasks.push(duration)
  }).observe({ type: 'longtask' })`

async function openLivePage(browser: Browser, url: string) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  await page.addInitScript(OBSERVE)
  await page.goto(`${url}/#/live`)
  await page.getByRole('img', { name: /Events a second/ }).waitFor()
  await delay(SETTLING_MS)
  return {
    memory: () => memoryOf(session),
    forgetLongTasks: () => page.evaluate('longTasks.length = 0'),
    async longTasks(): Promise<Watched['longTasks']> {
      const took = (await page.evaluate('longTasks')) as number[]
      return { count: took.length, longestMs: Math.max(0, ...took) }
    },
  }
}

async function memoryOf(session: CDPSession): Promise<PageMemory> {
  await session.send('HeapProfiler.collectGarbage')
  const { metrics } = await session.send('Performance.getMetrics')
  const figure = (wanted: string) => metrics.find(({ name }) => name === wanted)?.value ?? 0
  return { heapBytes: figure('JSHeapUsedSize'), nodes: figure('Nodes') }
}
