/**
 * A real Prometheus watches a pipeline that works, fails, and loses parts of itself; then every expression of the
 * dashboards and of the rules must give a result.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type LocalServer, startPrometheus } from '@eventflow/local'
import {
  post,
  type ReplicatedPostgres,
  type Stack,
  startReplicatedPostgres,
  startStack,
  startSteadyLoad,
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { places } from '../faults/places.js'
import { createQueries, type Series } from './prometheus.js'

const ROOT = join(import.meta.dirname, '../../..')
const DASHBOARDS = join(ROOT, 'grafana/dashboards')

let postgres: ReplicatedPostgres
let stack: Stack
let prometheus: LocalServer
let queries: ReturnType<typeof createQueries>
const start = Date.now() / 1_000

beforeAll(async () => {
  postgres = await startReplicatedPostgres()
  stack = await startStack({
    ...places,
    definitions: join(import.meta.dirname, '../watched-events'),
    databaseUrl: postgres.primaryUrl,
    adminUrl: postgres.adminUrl,
    ingests: 1,
    workers: 2,
    settings: { DATABASE_REPLICA_URL: postgres.standbyUrl, EVENTFLOW_POSTGRES_CAPACITY_BYTES: `${1e12}` },
  })
  const configFile = join(stack.dir, 'prometheus.yml')
  await writeFile(configFile, hurried(readFileSync(join(ROOT, 'prometheus/local.yml'), 'utf8')))
  prometheus = await startPrometheus({
    configFile,
    dir: join(stack.dir, 'prometheus'),
    port: 0,
    cacheDir: join(ROOT, '.eventflow/cache/prometheus'),
    log: () => {},
  })
  queries = createQueries(prometheus.url)
  await workAndTrouble()
}, 120_000)

afterAll(async () => {
  await prometheus?.stop()
  await stack?.stop()
  await postgres?.stop()
})

/** The configuration of `npm start`, for the addresses of this pipeline, and with short intervals. */
function hurried(config: string): string {
  const hosts = (urls: readonly string[]) => urls.map((url) => new URL(url).host).join(', ')
  return config
    .replaceAll(/(scrape|evaluation)_interval: \d+s/g, '$1_interval: 1s')
    .replace('rules/*.yml', join(ROOT, 'prometheus/rules/*.yml'))
    .replace('[127.0.0.1:8000]', `[${hosts(stack.urls)}]`)
    .replace('[127.0.0.1:9101, 127.0.0.1:9102]', `[${hosts(stack.workerUrls)}]`)
}

/** Waits until Prometheus has seen an expression become true. */
const seen = (expression: string) =>
  until(`Prometheus sees ${expression}`, async () => (await queries.now(expression)).length > 0, 30_000)

async function workAndTrouble(): Promise<void> {
  const [url] = stack.urls as [string]
  const [first, second] = stack.workers as [Stack['workers'][0], Stack['workers'][0]]
  const moodOf = (n: number) => (n % 20 === 1 ? { mood: 'bad' } : n % 20 === 3 ? { mood: 'flaky' } : {})
  const load = startSteadyLoad(url, {
    keys: Array.from({ length: 40 }, (_, i) => `key ${i}`),
    eventOf: (key, n) => ({ type: 'fault.step', data: { key, n, ...moodOf(n) } }),
    pauseMs: 150,
  })
  await seen('eventflow:events_processed:rate1m > 0')
  await post(`${url}/v1/events`, { type: 'fault.step', data: { wrong: true } })
  await post(`${url}/v1/events`, {})
  await seen('sum(eventflow_requests_refused_total) > 0')

  for (let times = 1; times <= 3; times++) {
    await second.restart('SIGKILL', 1_000) // start times are in whole seconds: two starts must differ
    await second.ready()
    await seen(`sum(changes(process_start_time_seconds{job="worker"}[5m])) == ${times}`)
  }
  await stack.redis.crash(0, () => seen('min(eventflow_dependency_up{dependency="redis"}) == 0'))

  await Promise.all([first.end('SIGTERM'), second.end('SIGTERM')])
  await seen('eventflow:backlog:sum > 200')
  first.start()
  second.start()
  await seen('eventflow:backlog:sum < 100')

  for (let n = 0; n < 5; n++) await post(`${url}/v1/events`, { type: 'watch.looked-up', data: { sku: `${n}` } })
  await seen('eventflow_circuit_state == 2')
  await load.stop()
  await seen('ALERTS{alertstate="firing"}')
}

const isTold = (series: readonly Series[]) => series.some(({ values }) => values.some(Number.isFinite))

test('every target is up', async () => {
  await until('all are up again', async () => (await queries.targets()).every(({ health }) => health === 'up'))
  expect(await queries.targets()).toHaveLength(3)
})

test('every rule is evaluated, and what it records is there', async () => {
  const rules = await queries.rules()
  expect(rules.filter(({ health, lastError }) => health !== 'ok' || lastError)).toEqual([])
  const recorded = rules.filter(({ type }) => type === 'recording').map(({ name }) => name)
  expect(recorded.length).toBeGreaterThan(20)
  const silent: string[] = []
  for (const name of recorded) if (!isTold(await queries.since(start, name))) silent.push(name)
  expect(silent).toEqual([])
})

test('every metric that an alert asks for is there, and those fire that should', async () => {
  const alerts = (await queries.rules()).filter(({ type }) => type === 'alerting')
  const metrics = alerts.flatMap(({ query }) => query.match(/\b(eventflow[_:]|process_|nodejs_|up\b)[\w:]*/g) ?? [])
  const silent: string[] = []
  for (const name of new Set(metrics)) if (!isTold(await queries.since(start, name))) silent.push(name)
  expect(silent).toEqual([])
  expect(metrics.length).toBeGreaterThan(alerts.length)
  const firing = await queries.since(start, 'ALERTS{alertstate="firing"}')
  expect(firing.map(({ metric }) => metric.alertname)).toContain('EventFlowRestarts')
})

test('every metric of ours is on a dashboard', async () => {
  const exposed = await queries.now('group by (__name__) ({__name__=~"eventflow_.+"})')
  const names = new Set(exposed.map(({ metric }) => metric.__name__!.replace(/_(bucket|sum|count)$/, '')))
  expect(names.size).toBeGreaterThan(30)
  const rules = (await queries.rules()).filter(({ type }) => type === 'recording')
  const texts = readdirSync(DASHBOARDS).map((file) => readFileSync(join(DASHBOARDS, file), 'utf8'))
  const shown = [...texts, ...rules.map(({ query }) => query)].join('\n')
  expect([...names].filter((name) => !shown.includes(name))).toEqual([])
})

interface Panel {
  title: string
  type: string
  targets?: { expr: string; instant?: boolean }[]
}

describe.each(readdirSync(DASHBOARDS))('%s', (file) => {
  const { panels } = JSON.parse(readFileSync(join(DASHBOARDS, file), 'utf8')) as { panels: Panel[] }

  for (const { title, targets = [] } of panels) {
    for (const { expr, instant } of targets) {
      test(`${title}: ${expr}`, async () => {
        const query = expr.replaceAll('$__rate_interval', '10s')
        // A value may be missing for a moment: a reading of the databases may take too long.
        await until('it is told', async () =>
          isTold(await (instant ? queries.now(query) : queries.since(start, query))),
        )
      })
    }
  }
})

test('an expression that is wrong, and one that has nothing to say, are noticed', async () => {
  await expect(queries.since(start, 'sum by (')).rejects.toThrow('parse error')
  expect(isTold(await queries.since(start, 'eventflow_misspelt_total'))).toBe(false)
  expect(isTold(await queries.since(start, '0 * (up - up) / 0'))).toBe(false)
})
