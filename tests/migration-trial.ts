/**
 * Tries the migration of a running installation at size: stores millions of events as the earlier version did, and
 * converts their tables while clients of both versions send events. `npm run migration-trial -- --events N --rate R`;
 * with `--out FILE` the result is written there. `--quiet SECONDS`: before the clients start, it waits that long for
 * other programs of the machine to leave the processors free.
 */
import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connect, contract, finishExpansion, migrate } from '@eventflow/db'
import { startPostgres } from '@eventflow/local'
import { migrateAsBeforeParts, until } from '@eventflow/testkit'
import { EARLIER, PRESENT, type Seen, startClient } from './migration-trial/clients.js'
import { fill } from './migration-trial/fill.js'
import { verify } from './migration-trial/verify.js'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '100000' },
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '20' },
    quiet: { type: 'string', default: '0' },
    out: { type: 'string' },
  },
})
const [events, rate, seconds] = [values.events, values.rate, values.seconds].map(Number) as [number, number, number]

/** The load average of a machine with nothing else to do. */
const QUIET = 1.5

const begun = performance.now()
const say = (text: string) => console.log(`${((performance.now() - begun) / 1_000).toFixed(1).padStart(8)} s  ${text}`)

const dir = await mkdtemp(join(tmpdir(), 'eventflow-migration-'))
await chmod(dir, 0o755) // Postgres runs under another account if this runs as root
const postgres = await startPostgres({ dir: join(dir, 'postgres'), port: 0, log: () => {} })
const { url, adminUrl } = postgres
const db = connect({ url: adminUrl, applicationName: 'trial', max: 2, onIdleError: () => {} })
try {
  await trial()
} finally {
  await db.end()
  await postgres.stop()
  await rm(dir, { recursive: true, force: true })
}

async function trial(): Promise<void> {
  await migrateAsBeforeParts(url, 16)
  await fill(adminUrl, events, say)
  const former = await someIds()
  const patient = performance.now() + Number(values.quiet) * 1_000
  while (loadavg()[0]! > QUIET && performance.now() < patient) await delay(1_000)
  const load = loadavg()[0]!
  const sizes = { before: await databaseSize(), largest: 0, after: 0 }
  const walFrom = await walPosition()
  const watching = setInterval(async () => {
    sizes.largest = Math.max(sizes.largest, await databaseSize().catch(() => 0))
  }, 1_000)

  const seen: Seen = { accepted: new Map(), twice: [], refused: [], took: new Map(), settled: 0, settlingErrors: [] }
  let phase = 'before'
  const sending = { former, seen, phase: () => phase }
  const earlier = startClient(url, EARLIER, { ...sending, rate })
  await delay(seconds * 1_000)

  const steps: Record<string, number> = {}
  phase = 'migration'
  await timed(steps, 'migration 0014', () => migrate(url, { partitions: 16 }))
  phase = 'expansion'
  await timed(steps, 'expansion', () => finishExpansion(url, { onProgress: say }))
  phase = 'both versions'
  const presentBeside = startClient(url, PRESENT, { ...sending, rate: rate / 2 })
  await delay((seconds * 1_000) / 2)
  await earlier.stop()
  const present = startClient(url, PRESENT, { ...sending, rate: rate / 2 })
  phase = 'waiting for the contraction'
  say('no process of the earlier version is left')
  const waitedFrom = performance.now()
  await until(
    'the tables are in parts',
    async () => {
      phase = 'contraction'
      const done = await timed(steps, 'contraction', () => contract(url))
      if (!done) phase = 'waiting for the contraction'
      await delay(done ? 1_000 : 500)
      return done
    },
    300_000,
  )
  steps['from the last earlier process to the contraction'] = performance.now() - waitedFrom
  phase = 'in parts'
  await delay(seconds * 1_000)
  await Promise.all([presentBeside.stop(), present.stop()])
  clearInterval(watching)
  sizes.after = await databaseSize()
  const wal = (await walPosition()) - walFrom
  say('verifying')
  const faults = await verify(adminUrl, db, { former: events, seen })
  await report({ load, steps, sizes, wal, faults, seen })
}

async function timed<Result>(
  steps: Record<string, number>,
  name: string,
  step: () => Promise<Result>,
): Promise<Result> {
  const from = performance.now()
  const result = await step()
  steps[name] = performance.now() - from
  if (result !== false) say(`${name}: ${(steps[name] / 1_000).toFixed(2)} s`)
  return result
}

/** Some of the first and of the last ids. */
async function someIds(): Promise<string[]> {
  const { rows } = await db.query(`
    (SELECT event_id AS id FROM raw_events WHERE partition = 3 ORDER BY seq LIMIT 500) UNION
    (SELECT event_id FROM raw_events WHERE partition = 3 ORDER BY seq DESC LIMIT 500)`)
  return rows.map(({ id }) => id)
}

async function databaseSize(): Promise<number> {
  return Number((await db.query('SELECT pg_database_size(current_database()) AS size')).rows[0].size)
}

async function walPosition(): Promise<number> {
  return Number((await db.query(`SELECT pg_current_wal_lsn() - '0/0' AS position`)).rows[0].position)
}

interface Outcome {
  /** The load average before the clients started. */
  load: number
  steps: Record<string, number>
  sizes: Record<string, number>
  wal: number
  faults: Awaited<ReturnType<typeof verify>>
  seen: Seen
}

async function report({ load, steps, sizes, wal, faults, seen }: Outcome): Promise<void> {
  const round = (value: number) => Math.round(value * 10) / 10
  const requests = Object.fromEntries(
    [...seen.took].map(([phase, took]) => {
      const sorted = took.sort((a, b) => a - b)
      const at = (share: number) => round(sorted[Math.floor((sorted.length - 1) * share)]!)
      return [phase, { requests: took.length, p50: at(0.5), p99: at(0.99), longest: at(1) }]
    }),
  )
  const { rows } = await db.query('SHOW server_version')
  const result = {
    date: new Date().toISOString().slice(0, 10),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
    machine: `${cpus().length} cores (${cpus()[0]!.model}), ${Math.round(totalmem() / 2 ** 30)} GiB`,
    loadBefore: round(load),
    postgres: rows[0].server_version,
    ...{ events, ratePerSecond: rate, accepted: seen.accepted.size, settlingRetried: seen.settlingErrors.length },
    faults,
    seconds: Object.fromEntries(Object.entries(steps).map(([name, ms]) => [name, Math.round(ms) / 1_000])),
    requestMs: requests,
    gigabytes: {
      ...Object.fromEntries(Object.entries(sizes).map(([name, bytes]) => [name, Math.round(bytes / 1e7) / 100])),
      writtenAheadLog: Math.round(wal / 1e7) / 100,
    },
    refusals: seen.refused.slice(0, 5),
  }
  console.log(JSON.stringify(result, null, 2))
  if (values.out) await writeFile(values.out, `${JSON.stringify(result, null, 2)}\n`)
  if (Object.values(faults).some((count) => count > 0)) process.exitCode = 1
}
