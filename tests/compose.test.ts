/** Compares compose.yaml and the Dockerfile with the code, because there is no container engine here to run them. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '@eventflow/local'
import { AlertsConfig, IngestConfig, readConfig, WorkerConfig } from '@eventflow/runtime'
import { createDatabase, redisUrl, startProgramProcess } from '@eventflow/testkit'
import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const readYaml = (path: string) => parse(read(path), { merge: true })

interface Service {
  image?: string
  command?: string[]
  environment?: Record<string, string>
  volumes?: string[]
  ports?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { test: string[] }
  // biome-ignore lint/suspicious/noExplicitAny: other settings of a service.
  [name: string]: any
}

const compose: { services: Record<string, Service>; volumes: Record<string, null> } = readYaml('compose.yaml')
const services = Object.entries(compose.services)
const ours = ['migrate', 'ingest', 'worker', 'alerts'].map((name) => compose.services[name]!)
const [migrate, ingest, worker, alerts] = ours as [Service, Service, Service, Service]

/**
 * A service's settings if .env has the passwords and the environment sets nothing else: `${NAME:-default}`,
 * `${NAME:?message}`.
 */
const settingsOf = ({ environment = {} }: Service) =>
  Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      value.replace(/\$\{\w+:-([^}]*)\}/g, '$1').replace(/\$\{(\w+):\?[^}]*\}/g, 'of-$1'),
    ]),
  )

const defaults = { DATABASE_URL: 'postgres://db', REDIS_URL: 'redis://cache', EVENTFLOW_EVENTS: 'events' }
const KEY = `ef_0123456789ab_${createHash('sha256').update('first').digest('hex')}`
const HTTP_PORT = readConfig(IngestConfig, defaults).EVENTFLOW_PORT
const METRICS_PORT = readConfig(WorkerConfig, defaults).EVENTFLOW_METRICS_PORT

/** The path in the checkout of a path in the image, if the Dockerfile copies it. */
function sourceOf(path: string): string {
  const copied = [...read('Dockerfile').matchAll(/^COPY --from=build \/app\/(\S+) \.\/\1$/gm)].map(([, name]) => name!)
  const relative = path.replace(/^\/app\//, '')
  expect(copied).toContain(relative.split('/')[0])
  return join(ROOT, relative)
}

describe('the programs', () => {
  test('have only settings that they know and accept', () => {
    expect(readConfig(IngestConfig, settingsOf(ingest))).toMatchObject({ EVENTFLOW_HOST: '0.0.0.0' })
    expect(readConfig(WorkerConfig, settingsOf(worker))).toMatchObject({ EVENTFLOW_HOST: '0.0.0.0' })
    expect(readConfig(AlertsConfig, settingsOf(alerts))).toMatchObject({ EVENTFLOW_ALERT_WEBHOOK_URL: '' })
    expect(settingsOf(migrate).DATABASE_URL).toBe(settingsOf(worker).DATABASE_URL)
    const given = ours.flatMap((service) => Object.keys(settingsOf(service)))
    expect(given).not.toContain('EVENTFLOW_WORKER_ID')
  })

  test('are files of the image, and so are the event definitions', () => {
    for (const { command } of ours) {
      expect(command![0]).toBe('node')
      expect([command![1], existsSync(sourceOf(command![1]!))]).toEqual([command![1], true])
    }
    expect(existsSync(sourceOf(settingsOf(worker).EVENTFLOW_EVENTS!))).toBe(true)
  })

  test('migrate migrates, and creates the first API key', async () => {
    const [node, file, ...args] = migrate.command!
    const DATABASE_URL = await createDatabase({ migrated: false })
    expect(migrate.environment!.EVENTFLOW_BOOTSTRAP_KEY).toMatch(/^\$\{EVENTFLOW_BOOTSTRAP_KEY:\?/)
    const env = { PATH: process.env.PATH, DATABASE_URL, EVENTFLOW_BOOTSTRAP_KEY: KEY }
    const { stdout } = await run(node!, [sourceOf(file!), ...args], { env })
    expect(stdout).toMatch(/^applied: 0001-pipeline/)
    const EVENTFLOW_EVENTS = sourceOf(settingsOf(ingest).EVENTFLOW_EVENTS!)
    const own = { DATABASE_URL, REDIS_URL: redisUrl(), EVENTFLOW_EVENTS, EVENTFLOW_PORT: '0' }
    const started = await startProgramProcess('ingest', { ...settingsOf(ingest), ...own })
    const ask = async (headers: Record<string, string>) => (await fetch(`${started.url}/v1/events`, { headers })).status
    expect(await ask({})).toBe(401)
    expect(await ask({ authorization: `Bearer ${KEY}` })).toBe(200)
    started.kill('SIGTERM')
    await started.exited
  })

  test('are healthy when their health check succeeds, and not before', async () => {
    const settings = { DATABASE_URL: await createDatabase(), REDIS_URL: redisUrl(), EVENTFLOW_STREAM_PREFIX: 'compose' }
    const check = async ({ healthcheck }: Service, stated: number, actual: number) => {
      const [kind, command, ...args] = healthcheck!.test
      expect(kind).toBe('CMD')
      expect(args.join(' ')).toContain(`//127.0.0.1:${stated}/`)
      const here = args.map((arg) => arg.replace(`:${stated}/`, `:${actual}/`))
      return run(command!, here).then(
        () => 'healthy',
        () => 'unhealthy',
      )
    }
    const EVENTFLOW_EVENTS = sourceOf(settingsOf(worker).EVENTFLOW_EVENTS!)
    const [httpPort, metricsPort] = [(await freePort(0))!, (await freePort(0))!]
    expect(await check(ingest, HTTP_PORT, httpPort)).toBe('unhealthy')
    expect(await check(worker, METRICS_PORT, metricsPort)).toBe('unhealthy')
    const started = await Promise.all([
      startProgramProcess('ingest', { ...settings, EVENTFLOW_EVENTS, EVENTFLOW_PORT: `${httpPort}` }),
      startProgramProcess('worker', { ...settings, EVENTFLOW_EVENTS, EVENTFLOW_METRICS_PORT: `${metricsPort}` }),
    ])
    expect(await check(ingest, HTTP_PORT, httpPort)).toBe('healthy')
    expect(await check(worker, METRICS_PORT, metricsPort)).toBe('healthy')
    for (const program of started) program.kill('SIGTERM')
    await Promise.all(started.map(({ exited }) => exited))
  })

  test('start after the services they need, and have enough time to stop', () => {
    expect(migrate.depends_on).toEqual({ postgres: { condition: 'service_healthy' } })
    for (const service of [ingest, worker, alerts]) {
      expect(service.depends_on).toMatchObject({
        migrate: { condition: 'service_completed_successfully' },
        postgres: { condition: 'service_healthy' },
      })
      const { EVENTFLOW_SHUTDOWN_TIMEOUT_MS } = readConfig(IngestConfig, defaults)
      expect(Number.parseInt(service.stop_grace_period, 10) * 1_000).toBeGreaterThan(EVENTFLOW_SHUTDOWN_TIMEOUT_MS)
    }
  })

  test('with several replicas share no name or port', () => {
    expect(worker).not.toHaveProperty('ports')
    expect(worker).not.toHaveProperty('container_name')
    expect(worker).not.toHaveProperty('hostname')
  })
})

describe('every container', () => {
  test.each(services)('%s is confined', (name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      init: true,
      tmpfs: expect.arrayContaining(['/tmp']),
      mem_limit: expect.any(String),
    })
    expect(service.user ?? '').not.toMatch(/^(root|0)\b/)
    // The one ends, the other has no port to check.
    if (name !== 'migrate' && name !== 'alerts') expect(service.healthcheck?.test[0]).toBe('CMD')
  })

  test('has an image pinned by version and digest', () => {
    const node = /^ARG NODE=(\S+)$/m.exec(read('Dockerfile'))![1]!
    const bases = [...read('Dockerfile').matchAll(/^FROM (\S+)/gm)].map(([, base]) => base)
    expect(new Set(bases)).toEqual(new Set(['$NODE']))
    const images = services.flatMap(([, { image }]) => image ?? [])
    expect(
      [...images, node].filter((image) => !/:v?\d+\.\d+(\.\d+)?(-[\w-]+)?@sha256:[0-9a-f]{64}$/.test(image)),
    ).toEqual([])
    expect(read('Dockerfile')).toMatch(/^USER node$/m)
  })

  test('is reachable from this machine only', () => {
    const ports = services.flatMap(([name, { ports = [] }]) => ports.map((port) => `${name} ${port}`))
    expect(ports.filter((port) => !/ 127\.0\.0\.1:(\d+):\1$/.test(port))).toEqual([])
    // Without the databases.
    expect(ports).toEqual([
      `ingest 127.0.0.1:${HTTP_PORT}:${HTTP_PORT}`,
      'prometheus 127.0.0.1:9090:9090',
      'grafana 127.0.0.1:3000:3000',
    ])
  })

  test('has only defined volumes', () => {
    const volumes = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0]!))
    const named = volumes.filter((volume) => !volume.startsWith('.'))
    expect(new Set(named)).toEqual(new Set(Object.keys(compose.volumes)))
    const folders = volumes.filter((volume) => volume.startsWith('.'))
    expect(folders.filter((folder) => !existsSync(join(ROOT, folder)))).toEqual([])
  })
})

describe('passwords', () => {
  const text = read('compose.yaml')
  const required = [...text.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name!)

  test('have no default: without one of them nothing starts', () => {
    const named = [...text.matchAll(/\$\{(\w*(?:PASSWORD|KEY)\w*)([^}]*)\}/g)]
    expect(named.length).toBeGreaterThan(7)
    expect(named.filter(([, , rest]) => !rest!.startsWith(':?'))).toEqual([])
    expect(text).not.toMatch(/anonymous/i)
  })

  test('come from the documented command, which shows them to no other user and overwrites none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'eventflow-env-'))
    await mkdir(join(folder, 'deploy'))
    const script = join(folder, 'deploy/make-env.sh')
    await copyFile(join(ROOT, 'deploy/make-env.sh'), script)
    expect(text).toContain('\n#   deploy/make-env.sh\n')
    const { stdout } = await run(script)
    const made = await readFile(join(folder, '.env'), 'utf8')
    const values = Object.fromEntries(
      made
        .trim()
        .split('\n')
        .map((line) => line.split('=')),
    )
    expect(Object.keys(values).sort()).toEqual([...new Set(required)].sort())
    expect(new Set(Object.values(values)).size).toBe(Object.keys(values).length)
    const { EVENTFLOW_BOOTSTRAP_KEY, ...passwords } = values
    expect(EVENTFLOW_BOOTSTRAP_KEY).toMatch(/^ef_[0-9a-f]{12}_[0-9a-f]{64}$/)
    for (const password of Object.values(passwords)) {
      expect(password).toMatch(/^[0-9a-f]{64}$/)
      expect(stdout).not.toContain(password)
    }
    expect((await stat(join(folder, '.env'))).mode & 0o777).toBe(0o600)
    await expect(run(script)).rejects.toThrow()
    expect(await readFile(join(folder, '.env'), 'utf8')).toBe(made)
    await rm(folder, { recursive: true })
    for (const file of ['.gitignore', '.dockerignore']) expect(read(file)).toMatch(/^(\*\*\/)?\.env$/m)
  })

  test('belong to roles with exactly the rights that the programs need', async () => {
    expect(new URL(settingsOf(worker).DATABASE_URL!)).toMatchObject({
      username: 'eventflow',
      password: 'of-POSTGRES_PASSWORD',
    })
    expect(new URL(settingsOf(worker).REDIS_URL!)).toMatchObject({
      username: 'eventflow',
      password: 'of-REDIS_PASSWORD',
    })
    const { postgres, redis } = compose.services as Record<string, Service>
    expect(settingsOf(postgres!)).toMatchObject({
      POSTGRES_USER: 'eventflow_admin',
      PGOPTIONS: '-c eventflow.password=of-POSTGRES_PASSWORD',
    })
    expect(postgres!.volumes).toContain(
      './packages/local/postgres-roles.sql:/docker-entrypoint-initdb.d/postgres-roles.sql:ro',
    )
    // The same rights as in the local stack, which the tests run with.
    const rights = /'(~\* .*)'/.exec(read('packages/local/src/redis.ts'))![1]!
    const settings = redis!.command!.at(-1)!
    expect(settings).toContain(`\nuser eventflow on >$$REDIS_PASSWORD ${rights}\n`)
    expect(settings).toContain('\nuser default on >$$REDISCLI_AUTH ')
  })
})

describe('Prometheus and Grafana', () => {
  test('scrape every ingest and every worker at its metrics port', () => {
    const { scrape_configs } = readYaml('prometheus/prometheus.yml')
    const targets = scrape_configs.flatMap(({ dns_sd_configs = [] }: { dns_sd_configs?: object[] }) => dns_sd_configs)
    expect(targets).toEqual([
      expect.objectContaining({ names: ['ingest'], type: 'A', port: HTTP_PORT }),
      expect.objectContaining({ names: ['worker'], type: 'A', port: METRICS_PORT }),
    ])
  })

  test('provide the dashboards at once', () => {
    const { prometheus, grafana } = compose.services
    const mounted = (inside: string) => {
      const mounts = [...prometheus!.volumes!, ...grafana!.volumes!].map((volume) => volume.split(':'))
      const [folder, target] = mounts.find(([, path]) => inside.startsWith(path!))!
      return inside.replace(target!, folder!)
    }
    const config = prometheus!.command!.find((arg) => arg.startsWith('--config.file='))!.split('=')[1]!
    expect(existsSync(join(ROOT, mounted(config)))).toBe(true)
    const { providers } = readYaml(mounted('/etc/grafana/provisioning/dashboards/eventflow.yml'))
    const home = grafana!.environment!.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH!
    expect(home.startsWith(providers[0].options.path)).toBe(true)
    expect(JSON.parse(read(mounted(home)))).toHaveProperty('title')
    const { datasources } = readYaml(mounted('/etc/grafana/provisioning/datasources/prometheus.yml'))
    expect(datasources[0].url).toBe('http://prometheus:9090')
  })
})
