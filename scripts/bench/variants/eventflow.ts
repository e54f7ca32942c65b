/** EventFlow as released: its own programs with their default settings. */
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '@eventflow/local'
import { readDepths } from '@eventflow/redis'
import { USERS } from '../load/order-events.js'
import type { RequestKind } from '../load/request.js'
import { type Subject, untilNothingLeft, type Variant } from '../measure.js'
import type { Program } from '../program.js'
import type { HttpLoad } from '../programs/http-load.js'
import type { Stack } from '../stack.js'
import { deliveryTimes } from './delivery-times.js'
import { programFile } from './program-file.js'

const INGEST = fileURLToPath(import.meta.resolve('@eventflow/ingest/main'))
const WORKER = fileURLToPath(import.meta.resolve('@eventflow/worker/main'))
const EVENTS = fileURLToPath(new URL('../events', import.meta.url))

/** The default number of partitions. */
export const PARTITIONS = 16
const PREFIX = 'ef'

/** An API key with every scope, for the variants that need one. */
const KEY = `ef_${'0'.repeat(12)}_${createHash('sha256').update('bench').digest('hex')}`

/** More than any load here in a second, so that a quota is counted but never reached. */
const QUOTA = 100_000_000

export interface Setup {
  ingest?: number
  workers?: number
  /** Metrics of all processes are read once a second, unless this is false. */
  scraped?: boolean
  /** Nothing is logged. */
  silent?: boolean
  /** Requests need an API key, and count against a quota that is never reached. */
  guarded?: boolean
  /** The share of traces sent to a collector; without it tracing is off. */
  traced?: number
  /** Another folder of definitions. */
  events?: string
}

const GUARDED = { EVENTFLOW_AUTH: 'required', EVENTFLOW_BOOTSTRAP_KEY: KEY }

export interface LoadKind extends Partial<RequestKind> {
  connections: number
}

/** A running EventFlow with a load generator. */
export interface EventFlow extends Subject {
  /** The URLs of the ingest processes. */
  urls: string[]
  /** The URLs of the workers' metrics. */
  workerUrls: string[]
  /** Entries in all streams: waiting and in process. */
  backlog(): Promise<number>
  /** Pauses or resumes the load: while paused, no request begins. */
  pause(paused: boolean): void
}

/** A variant of EventFlow, under a load. */
export function eventFlow(
  about: Pick<Variant, 'name' | 'group' | 'title' | 'rate' | 'warmUps'>,
  load: LoadKind,
  setup: Setup = {},
): Variant {
  const promise = 'committed before the 202, effects once, order per key, one row an outcome'
  return { ...about, promise, start: (stack) => startEventFlow(stack, load, setup) }
}

/** Starts it, and returns when each worker owns its share of the partitions. */
export async function startEventFlow(stack: Stack, load: LoadKind, setup: Setup): Promise<EventFlow> {
  const { urls, workerUrls } = await startPrograms(stack, setup)
  const plan: HttpLoad = {
    ...{ type: 'bench.enriched', batch: 1, ndjson: false, users: USERS, ...load, urls },
    ...(setup.guarded && { key: KEY }),
  }
  const generator = await stack.start('generator', programFile('http-load'), { plan })
  if (setup.scraped !== false) scrapeWhile(generator.exited, [...urls, ...workerUrls])
  const backlog = () => countEntries(stack)
  return {
    urls,
    workerUrls,
    backlog,
    pause: (pause) => generator.tell({ pause }),
    drive: (order, onProgress) => generator.order(order, onProgress),
    async drained(events) {
      // Cheap check first: the streams. Only when they are empty it counts the tables, which is the proof.
      await untilNothingLeft('EventFlow', 25, async () => (await backlog()) || events - (await countSettled(stack)))
    },
    delivery: (since) => deliveryTimes(stack.db, since),
    byWorker: () => countByWorker(stack),
  }
}

/** Starts ingest and workers, without load. */
export async function startPrograms(
  stack: Stack,
  { ingest = 1, workers = 1, silent, guarded, traced, events = EVENTS }: Setup,
) {
  const settings = {
    DATABASE_URL: stack.databaseUrl,
    REDIS_URL: stack.redisUrl,
    EVENTFLOW_EVENTS: events,
    EVENTFLOW_STREAM_PREFIX: PREFIX,
    ...(silent && { EVENTFLOW_LOG_LEVEL: 'silent' }),
    ...(traced !== undefined && (await collectTraces(stack, traced))),
  }
  const urls = await launchEach(ingest, (port) =>
    stack.launch('ingest', INGEST, { ...settings, ...(guarded && GUARDED), EVENTFLOW_PORT: `${port}` }),
  )
  if (guarded)
    await stack.db.query('UPDATE tenants SET events_per_second = $1::integer, bytes_per_second = $1::integer', [QUOTA])
  const workerUrls = await launchEach(workers, (port, n) =>
    stack.launch('worker', WORKER, {
      ...settings,
      EVENTFLOW_METRICS_PORT: `${port}`,
      EVENTFLOW_WORKER_ID: `worker-${n}`,
    }),
  )
  await untilNothingLeft('waiting for the partitions to be shared', 100, async () => {
    const { rows } = await stack.db.query(
      `SELECT count(*)::int AS partitions FROM partitions WHERE lease_expires_at > now()
       GROUP BY owner ORDER BY partitions`,
    )
    const shares: number[] = rows.map((row) => row.partitions)
    return workers - shares.filter((share) => share >= Math.floor(PARTITIONS / workers)).length
  })
  return { urls, workerUrls }
}

/** Starts a worker that reads one consumer group and does nothing else. Returns the URL of its metrics. */
export async function startReader(stack: Stack, events: string, group: string): Promise<string> {
  const port = (await freePort(0))!
  const worker = stack.launch('worker', WORKER, {
    DATABASE_URL: stack.databaseUrl,
    REDIS_URL: stack.redisUrl,
    EVENTFLOW_EVENTS: events,
    EVENTFLOW_STREAM_PREFIX: PREFIX,
    EVENTFLOW_METRICS_PORT: `${port}`,
    EVENTFLOW_WORKER_ID: 'reader',
    EVENTFLOW_GROUPS: group,
  })
  const url = `http://127.0.0.1:${port}`
  await untilReady(url, worker)
  return url
}

/** Starts a collector, and returns the settings that send it this share of the traces. */
async function collectTraces(stack: Stack, share: number): Promise<Record<string, string>> {
  const port = (await freePort(0))!
  await stack.start('collector', programFile('collector'), { plan: { port } })
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: `${share}`,
  }
}

async function launchEach(count: number, launch: (port: number, n: number) => Program): Promise<string[]> {
  const urls: string[] = []
  for (let n = 1; n <= count; n++) {
    const port = (await freePort(0))!
    const url = `http://127.0.0.1:${port}`
    await untilReady(url, launch(port, n))
    urls.push(url)
  }
  return urls
}

async function untilReady(url: string, program: Program): Promise<void> {
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
  const look = async () => ((await isReady()) ? 0 : 1)
  await untilNothingLeft(`waiting for ${url}`, 50, () => Promise.race([look(), program.ended]))
}

const SCRAPE_MS = 1_000

/** Reads the metrics once a second, like a Prometheus with a short interval. */
async function scrapeWhile(over: Promise<unknown>, urls: readonly string[]): Promise<void> {
  let going = true
  over.finally(() => {
    going = false
  })
  for (; going; await delay(SCRAPE_MS)) {
    await Promise.all(urls.map((url) => fetch(`${url}/metrics`).then((answer) => answer.text()))).catch(() => {})
  }
}

async function countEntries({ redis }: Stack): Promise<number> {
  const depths = await readDepths(redis, PREFIX, PARTITIONS)
  return depths.reduce((sum, { length }) => sum + length, 0)
}

/** Counts only processed events: no event of the bench may fail. What a join emits was not sent. */
async function countSettled({ db }: Stack): Promise<number> {
  const { rows } = await db.query(`SELECT count(*)::int AS count FROM processed_events WHERE type <> 'bench.pair'`)
  return rows[0].count
}

async function countByWorker({ db }: Stack): Promise<Record<string, number>> {
  const { rows } = await db.query(
    'SELECT worker_id, count(*)::int AS count FROM processed_events GROUP BY worker_id ORDER BY worker_id',
  )
  return Object.fromEntries(rows.map((row) => [row.worker_id, row.count]))
}
