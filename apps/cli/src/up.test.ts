/** `up` with stand-ins for ingest and worker, and with existing databases. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@eventflow/local'
import { until } from '@eventflow/testkit'
import { afterAll, expect, test } from '@jest/globals'
import { createOutput } from './output.js'
import { up } from './up.js'
import type { UpOptions } from './up-options.js'

const dir = await mkdtemp(join(tmpdir(), 'eventflow-up-'))
const ingest = join(dir, 'ingest.mjs')
const worker = join(dir, 'worker.mjs')
const alerts = join(dir, 'alerts.mjs')
const env = {
  ...process.env,
  DATABASE_URL: 'postgres://somewhere/x',
  REDIS_URL: 'redis://somewhere',
  JOURNAL: join(dir, 'journal'),
}

const tell = `import { appendFileSync } from 'node:fs'
const tell = (what) => { appendFileSync(process.env.JOURNAL, what + '\\n'); console.log(what, process.pid) }`
await writeFile(
  ingest,
  `${tell}
import { createServer } from 'node:http'
const server = createServer((_, reply) => reply.end('ok'))
server.listen(Number(process.env.EVENTFLOW_PORT), '127.0.0.1', () => tell('ingest listens'))
process.on('SIGTERM', () => { tell('ingest stops'); server.closeAllConnections(); server.close() })`,
)
await writeFile(
  worker,
  `${tell}
import { createServer } from 'node:http'
const server = createServer((_, reply) => reply.end('ok')).listen(Number(process.env.EVENTFLOW_METRICS_PORT), '127.0.0.1')
tell(process.env.EVENTFLOW_WORKER_ID + ' runs')
process.on('SIGTERM', () => { tell(process.env.EVENTFLOW_WORKER_ID + ' stops'); server.closeAllConnections(); server.close() })`,
)
await writeFile(
  alerts,
  `${tell}
const living = setInterval(() => {}, 1_000)
tell('alerts watches')
process.on('SIGTERM', () => { tell('alerts stops'); clearInterval(living) })`,
)

afterAll(() => rm(dir, { recursive: true, force: true }))

test('starts everything, restarts a killed worker, and stops ingest before the workers', async () => {
  const run = await start()
  await run.says(/EventFlow is up.*psql "\$DATABASE_URL".*curl -i http/s)
  const pid = Number(/worker-1 runs (\d+)/.exec(run.text())![1])
  process.kill(pid, 'SIGKILL')
  await run.says(/alerts {3}\| alerts watches/)
  await run.says(/worker-1 \| .*ended unexpectedly \(signal SIGKILL\).*worker-1 \| worker-1 runs/s)

  await writeFile(env.JOURNAL, '')
  run.stop()
  await run.over
  const journal = (await readFile(env.JOURNAL, 'utf8')).trim().split('\n')
  expect(journal.slice(0, 2)).toEqual(['alerts stops', 'ingest stops'])
  expect(journal.slice(2).sort()).toEqual(['worker-1 stops', 'worker-2 stops'])
})

test('a second one on the same data folder is refused, and the first keeps running', async () => {
  const first = await start()
  await first.says(/EventFlow is up/)
  await expect((await start()).over).rejects.toThrow(`already running on ${join(dir, 'data')} (process ${process.pid})`)
  first.stop()
  await first.over
})

test('the folder of a killed one can be claimed', async () => {
  await writeFile(join(dir, 'data', 'up.json'), JSON.stringify({ pid: process.pid, port: 1, token: 'gone' }))
  const run = await start()
  await run.says(/EventFlow is up/)
  run.stop()
  await run.over
})

test('when a part ends before everything is ready, it fails and stops the others', async () => {
  const broken = join(dir, 'broken.mjs')
  await writeFile(broken, `console.error('cannot start: a setting is missing'); process.exitCode = 1`)
  const run = await start({ ingest: broken, worker, alerts })
  await expect(run.over).rejects.toThrow('startup failed')
  expect(run.text()).toContain('ingest   | cannot start: a setting is missing')
})

test('workers get ports from the given one on', async () => {
  const metricsPort = (await freePort(0))!
  const run = await start({ ingest, worker, alerts }, { metricsPort })
  await run.says(new RegExp(`workers: port ${metricsPort}, `))
  run.stop()
  await run.over
  await expect((await start({ ingest, worker, alerts }, { metricsPort: 65_536 })).over).rejects.toThrow(
    'no 2 free ports from 65536 on: choose another start with --metrics-port',
  )
})

test('its programs stop if it is killed', async () => {
  const script = `
    import { startProgram } from '${new URL('./program.js', import.meta.url)}'
    startProgram('${worker}', ${JSON.stringify({ ...env, EVENTFLOW_WORKER_ID: 'orphan', EVENTFLOW_METRICS_PORT: '0' })}, (line) => console.log(line))`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  parent.stdout.once('data', () => parent.kill('SIGKILL'))
  await until('it stops', async () => (await readFile(env.JOURNAL, 'utf8')).includes('orphan stops'))
})

/** Runs `up` and collects its output. */
async function start(programs = { ingest, worker, alerts }, options: Partial<UpOptions> = {}) {
  const [stop, kill] = [new AbortController(), new AbortController()]
  let text = ''
  const output = createOutput((more) => {
    text += more
  }, false)
  const [port, metricsPort] = [(await freePort(0))!, (await freePort(0))!]
  const over = up({
    ...{ port, metricsPort, workers: 2, dataDir: join(dir, 'data'), events: dir, programs, env, output },
    ...{ stop: stop.signal, kill: kill.signal },
    ...options,
  })
  over.catch(() => {}) // callers that await `over` get the error
  return {
    over,
    text: () => text,
    stop: () => stop.abort(),
    says: (pattern: RegExp) => Promise.race([until(`it says ${pattern}`, () => pattern.test(text)), over]),
  }
}
