/** EventFlow as its users have it: from tarballs, in an empty folder outside of the checkout. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '@eventflow/local'
import { redisCacheDir, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const ROOT = join(import.meta.dirname, '../../..')
const PUBLIC = ['sdk', 'client', 'testing']
/** It must be there: npx would fetch it otherwise. */
const NPX = ['--no']
const INSTALL = ['install', '--prefer-offline', '--no-audit', '--no-fund']

/** What a user's shell has: without what npm, jest and our own test run tell the processes that they start. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(npm_(package|lifecycle|config_local)|NODE_|JEST_|INIT_|EVENTFLOW_)/.test(name),
  ),
)

let folder: string
let tarballs: string
let running: ChildProcess | undefined

/** Runs a command; when it fails, its output is in the error. */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { cwd, env, maxBuffer: 64 << 20 }).catch((error) => {
    throw new Error(`${command} ${args.join(' ')}: ${error.message}\n${error.stdout}\n${error.stderr}`)
  })
  return stdout
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventflow-from-tarballs-'))
  // Started by root, Postgres runs as another account, which must be able to get to its data.
  await chmod(folder, 0o755)
  tarballs = join(folder, 'tarballs')
})

afterAll(async () => {
  await interrupt() // it stops Postgres and Redis, which a kill would leave running
  await rm(folder, { recursive: true, force: true })
}, 60_000)

/** Ctrl-C for `npm start`, which the terminal sends to all that run in it. */
async function interrupt(): Promise<void> {
  if (!running?.pid || running.exitCode !== null || running.signalCode !== null) return
  const closed = once(running, 'close')
  process.kill(-running.pid, 'SIGINT')
  await closed
}

test('the packages are packed, and each has what it needs and nothing else', async () => {
  const said = await run(process.execPath, ['scripts/dist/release.js', '--dry-run', '--out', tarballs], ROOT)
  expect(said).toContain('Dry run')
  const names = (await readdir(tarballs)).map((name) => name.replace(/-\d+\.\d+\.\d+\.tgz$/, ''))
  expect(names).toEqual(
    expect.arrayContaining(['eventflow', ...PUBLIC.map((name) => `eventflow-${name}`), 'eventflow-ingest']),
  )
}, 300_000)

test('they are installed, and their types are found', async () => {
  await mkdir(join(folder, 'consumer'))
  const consumer = join(folder, 'consumer')
  await writeFile(join(consumer, 'package.json'), '{ "private": true, "type": "module" }')
  const files = (await readdir(tarballs)).map((name) => join(tarballs, name))
  await run('npm', [...INSTALL, ...files, '@types/node@20'], consumer)

  // The examples of their READMEs.
  for (const name of PUBLIC) {
    const readme = readFileSync(join(consumer, `node_modules/@eventflow/${name}/README.md`), 'utf8')
    await writeFile(join(consumer, `${name}.ts`), /^```ts\n(.*?)^```$/ms.exec(readme)![1]!)
  }
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const options = ['--noEmit', '--strict', '--target', 'es2023', '--types', 'node']
    const resolution = ['--module', module!, '--moduleResolution', moduleResolution!]
    const sources = PUBLIC.map((name) => `${name}.ts`)
    await run(join(ROOT, 'node_modules/.bin/tsc'), [...options, ...resolution, ...sources], consumer)
  }
}, 300_000)

test('each can be imported, and has its data', async () => {
  const consumer = join(folder, 'consumer')
  const { dependencies } = JSON.parse(readFileSync(join(consumer, 'package.json'), 'utf8'))
  const importable = Object.keys(dependencies).filter((name) => {
    const { exports = {} } = JSON.parse(readFileSync(join(consumer, 'node_modules', name, 'package.json'), 'utf8'))
    return '.' in exports
  })
  expect(importable).toEqual(expect.arrayContaining(['@eventflow/engine', '@eventflow/ingest', '@eventflow/samples']))
  const script = `
    for (const name of ${JSON.stringify(importable)}) await import(name)
    const { readFlights } = await import('@eventflow/samples')
    console.log((await readFlights()).length)`
  expect(Number(await run(process.execPath, ['--input-type=module', '-e', script], consumer))).toBe(20_000)
})

test('npx eventflow init makes a project', async () => {
  const said = await run(
    'npx',
    [...NPX, 'eventflow', 'init', '../my-app', '--from', tarballs],
    join(folder, 'consumer'),
  )
  expect(said).toContain('my-app is ready')
})

test('its own npm test tests its event type against a real pipeline, and so does the test of docs/testing.md', async () => {
  const app = join(folder, 'my-app')
  await run('npm', INSTALL, app)
  const documents = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8')
  const example = /^```ts\n\/\/ src\/events.*?\n(.*?)^```$/ms.exec(documents)![1]!
  await writeFile(join(app, 'src/events/from-the-docs.test.ts'), example)
  // As on a machine where it was fetched before.
  if (existsSync(redisCacheDir())) await cp(redisCacheDir(), join(app, '.eventflow/cache/redis'), { recursive: true })
  expect(await run('npm', ['test'], app)).toMatch(/^# pass 5$.^# fail 0$/ms)
}, 300_000)

test('its own npm start runs the whole stack, which processes an event', async () => {
  const app = join(folder, 'my-app')
  const [port, metricsPort] = [await freePort(0), await freePort(0)]
  const child = spawn('npm', ['start'], {
    cwd: app,
    env: { ...env, EVENTFLOW_PORT: `${port}`, EVENTFLOW_METRICS_PORT: `${metricsPort}` },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running = child
  let said = ''
  for (const output of [child.stdout, child.stderr]) output.setEncoding('utf8').on('data', (more) => (said += more))
  await until('it is up, or has ended', () => said.includes('EventFlow is up.') || child.exitCode !== null, 90_000)
  expect(said).toContain('EventFlow is up.')

  // The request that it shows.
  const body = /-d '(\{.*\})'/.exec(said)![1]!
  expect(JSON.parse(body).type).toBe('order.placed')
  const url = `http://127.0.0.1:${port}`
  const answer = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  expect(answer.status).toBe(202)
  const { id } = (await answer.json()) as { id: string }
  const event = await (await fetch(`${url}/v1/events/${id}?wait=20s`)).json()
  expect(event).toMatchObject({ status: 'processed', result: { total: 1300 } })
  const rows = await run(
    'npx',
    [...NPX, 'eventflow', 'sql', '--json', 'SELECT orders, cents FROM customer_totals'],
    app,
  )
  expect(JSON.parse(rows)).toEqual([{ orders: 1, cents: 1300 }])
  expect(await (await fetch(url)).text()).toContain('<!doctype html>')

  await interrupt()
  expect(said).toMatch(/up .*stopped/)
}, 300_000)
