/** The whole bench on one variant, for one second. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { redisCacheDir, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Results } from './results.js'
import type { InsertsRound } from './suites/ledger/inserts.js'

const BENCH = fileURLToPath(new URL('./bench.js', import.meta.url))
let dir: string
let running: ChildProcess | undefined

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'eventflow-bench-'))
  await chmod(dir, 0o755) // Postgres runs under another account if the tests run as root
  await mkdir(join(dir, 'data', 'cache'), { recursive: true })
  await symlink(redisCacheDir(), join(dir, 'data', 'cache', 'redis'))
})

afterAll(async () => {
  if (running?.exitCode === null && running.signalCode === null) {
    running.kill('SIGTERM')
    await once(running, 'close')
  }
  await rm(dir, { recursive: true, force: true })
})

/** Runs the bench to its end and returns its output. */
async function bench(...args: string[]): Promise<{ code: number; said: string }> {
  const child = spawn(process.execPath, [BENCH, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  running = child
  const [[code], out, err] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  return { code, said: out + err }
}

test('it measures a variant, reports, and leaves no data behind', async () => {
  const { code, said } = await bench(
    ...['--quick', '--only', 'batch-100', '--seconds', '1', '--data-dir', join(dir, 'data'), '--out', join(dir, 'out')],
  )
  expect(said).toMatch(/1\/1 {2}batch-100 +[\d,]+\/s end to end/)
  expect(code).toBe(0)
  const results: Results = JSON.parse(await readFile(join(dir, 'out', 'part.json'), 'utf8'))
  const [variant] = results.variants
  expect(variant!.rounds[0]!.events).toBeGreaterThan(0)
  expect(variant!.rounds[0]!.byWorker).toEqual({ 'worker-1': expect.any(Number) })
  expect(variant!.delivery!.p50).toBeGreaterThan(0)
  for (const role of ['generator', 'ingest', 'worker', 'postgres']) {
    expect(variant!.cpuMicrosecondsPerEvent[role]).toBeGreaterThan(0)
  }
  expect(await readFile(join(dir, 'out', 'part.svg'), 'utf8')).toContain('EventFlow, batches of 100')
  expect(await readdir(join(dir, 'data'))).toEqual(['cache'])
}, 120_000)

test('it measures the ledger in parts beside that of before', async () => {
  const sizes = ['--ids', '1000', '--part-events', '50', '--retired-events', '100', '--rate', '200']
  const { code, said } = await bench(
    ...['ledger', '--rounds', '1', '--seconds', '1', ...sizes],
    ...['--data-dir', join(dir, 'data'), '--out', join(dir, 'out')],
  )
  expect(said).toMatch(/batches of 500, random ids, parts_full +[\d,]+ +[\d.]+ \(/)
  expect(code).toBe(0)
  const results: Results = JSON.parse(await readFile(join(dir, 'out', 'ledger.json'), 'utf8'))
  const { inserts, statements, retention } = results.ledger!
  expect(inserts.map(({ load, layout }) => `${load}, ${layout}`)).toHaveLength(9)
  for (const { rounds } of inserts) {
    const [{ events, postgresMicroseconds, walBytes, tableBytes, indexBytes }] = rounds as [InsertsRound]
    // Each event has two rows of a few hundred bytes, which the WAL has too.
    expect(events).toBeGreaterThan(0)
    expect(postgresMicroseconds).toBeGreaterThan(0)
    expect(tableBytes).toBeGreaterThan(500)
    expect(indexBytes).toBeGreaterThan(0)
    expect(walBytes).toBeGreaterThan(500)
  }
  const locks = (statement: string, plan: string) =>
    statements.find((one) => one.layout === 'parts_full' && one.statement === statement && one.plan === plan)!.locks
  // A generic plan to find events by id reads any part; an INSERT writes into one.
  expect(locks('find by id', 'generic')).toBeGreaterThan(30)
  expect(locks('accept', 'generic')).toBeLessThan(30)
  expect(statements.every((one) => one.firstPlanningMs > 0 && one.executionMs > 0)).toBe(true)
  const [round] = retention.rounds
  expect(round).toMatchObject({ emptied: 10, notEmptied: 0, dropped: 5 })
  for (const statement of ['accept', 'settle', 'find']) {
    expect(round!.without[statement]!.p50).toBeGreaterThan(0)
    expect(round!.with[statement]!.p50).toBeGreaterThan(0)
  }
  expect(await readdir(join(dir, 'data'))).toEqual(['cache'])
}, 600_000)

test('a Ctrl-C stops everything and takes the data away', async () => {
  const dataDir = join(dir, 'data')
  const args = ['--only', 'batch-100', '--seconds', '600', '--data-dir', dataDir, '--out', join(dir, 'none')]
  const child = spawn(process.execPath, [BENCH, ...args], { stdio: 'ignore' })
  running = child
  const log = () => readFile(join(dataDir, 'bench', 'programs.log'), 'utf8')
  await until('the worker works', async () => (await log()).includes('"working"'), 60_000)
  child.kill('SIGINT')
  expect(await once(child, 'close')).toEqual([130, null])
  expect(await readdir(dataDir)).toEqual(['cache'])
}, 120_000)
