/** The commands that inspect a pipeline: their output and exit codes. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { connect, type Db, heartbeat, takePartitions } from '@eventflow/db'
import { acceptEvents, createDatabase, newEvent, redisUrl } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { unreachable } from './ask-postgres.js'
import { claimFolder } from './data-folder.js'
import { type LagOptions, lag } from './lag.js'
import { migrate } from './migrate.js'
import type { Print } from './table.js'
import { workers } from './workers.js'

const PREFIX = 'cli'
const MAIN = join(import.meta.dirname, 'main.js')

let dir: string
let databaseUrl: string
let db: Db

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'eventflow-cli-'))
  databaseUrl = await createDatabase()
  db = connect({ url: databaseUrl, applicationName: 'test', max: 2, onIdleError: () => {} })
})

afterAll(async () => {
  await db.end()
  await rm(dir, { recursive: true, force: true })
})

/** Runs a command in an empty folder, with only these environment variables. */
async function eventflow(args: readonly string[], env: Record<string, string> = { DATABASE_URL: databaseUrl }) {
  const child = start(args, env)
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { stdout, stderr, code: code as number }
}

const start = (args: readonly string[], env: Record<string, string>) =>
  spawn(process.execPath, [MAIN, ...args], { cwd: dir, env: { PATH: process.env.PATH, ...env } })

/** The output of a command and its exit code. */
async function outcomeOf(command: (print: Print) => Promise<number>) {
  let stdout = ''
  const code = await command((text) => {
    stdout += `${text}\n`
  })
  return { stdout, code }
}

describe('workers', () => {
  const shown = (json = false) => outcomeOf((print) => workers(databaseUrl, { json, print }))

  test('shows living and dead workers; without a living one the exit code is 1', async () => {
    expect(await shown()).toMatchObject({ code: 1, stdout: expect.stringContaining('no worker') })

    await heartbeat(db, { id: 'gone', host: 'there', pid: 7, run: 'run 7', leaseMs: 10_000 }, { takeOver: true })
    await takePartitions(db, 'gone', [1, 2], { reclaim: false, leaseMs: 10_000 })
    await db.query(`UPDATE workers SET heartbeat_at = now() - interval '200 s'`)
    expect((await shown()).code).toBe(1)
    await heartbeat(db, { id: 'well', host: 'here', pid: 8, run: 'run 8', leaseMs: 10_000 }, { takeOver: true })

    const { stdout, code } = await eventflow(['workers'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^gone +there +7 .* 3 min \d+ s ago +dead +1 2$/m)
    expect(stdout).toMatch(/^well +here +8 .* \d\.\d s ago +alive +-$/m)
    expect(JSON.parse((await shown(true)).stdout)).toMatchObject([
      { id: 'gone', alive: false, partitions: [1, 2] },
      { id: 'well', alive: true },
    ])
  })
})

describe('lag', () => {
  const settings = () => ({ DATABASE_URL: databaseUrl, REDIS_URL: redisUrl(), EVENTFLOW_STREAM_PREFIX: PREFIX })
  const stop = new AbortController().signal
  const shown = (options: Partial<LagOptions> = {}, redis = redisUrl()) =>
    outcomeOf((print) => lag({ postgres: databaseUrl, redis, prefix: PREFIX }, { print, stop, ...options }))

  test('shows each partition and the total; the exit code says whether the oldest event is too old', async () => {
    await db.query('UPDATE partitions SET owner = NULL')
    await takePartitions(db, 'well', [4], { reclaim: false, leaseMs: 10_000 })
    expect(await shown({ maxSeconds: 0 })).toMatchObject({ code: 0 })
    await acceptEvents(db, [newEvent({ partition: 4 }), newEvent({ partition: 4 }), newEvent({ partition: 5 })])
    await db.query(`UPDATE raw_events SET accepted_at = now() - interval '110 s' WHERE partition = 4`)

    const { stdout, code } = await shown({ maxSeconds: 90 })
    expect(code).toBe(1)
    expect(stdout).toMatch(/^ +4 {2}well +\d+ {2}postgres +0 +0 +2 +0 +2 {2}1 min 5\d s$/m)
    expect(stdout).toMatch(/^ +6 {2}- .* 0\.0 s$/m)
    expect(stdout).toMatch(/^lag 3 \(.*\); unsettled 3 \(oldest 1 min 5\d s\), retrying 0; workers alive: \d$/m)
    const read = await shown({ json: true, maxSeconds: 1_000 })
    expect(read.code).toBe(0)
    const reading = JSON.parse(read.stdout)
    expect(reading).toMatchObject({ unsettled: 3, redisError: null })
    expect(reading.partitions).toHaveLength(16)
  })

  test('is read from Postgres alone while Redis is away; without Postgres it fails', async () => {
    const { stdout, code } = await shown({}, 'redis://127.0.0.1:1')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ +4 {2}well +\d+ {2}postgres +\? +\? +2 /m)
    expect(stdout).toContain('Redis does not answer')
    const nothing = await eventflow(['lag'], { ...settings(), DATABASE_URL: 'postgres://x@127.0.0.1:1/x' })
    expect(nothing).toMatchObject({ code: 2, stdout: '' })
  })

  test('replaces the previous reading on a terminal', async () => {
    const stopping = new AbortController()
    const terminal = Object.assign(new PassThrough(), { isTTY: true })
    let readings = 0
    const print = (text: string) => {
      terminal.write(`${text}\n`)
      if (++readings === 2) stopping.abort()
    }
    await shown({ watch: true, stop: stopping.signal, print, terminal: terminal as unknown as NodeJS.WriteStream })
    const written = terminal.read().toString()
    expect(written.match(/partition {2}owner/g)).toHaveLength(2)
    // A heading, 16 partitions, an empty line and the total.
    expect(written).toContain('\u001b[19A\u001b[0J')
  })

  test.each([
    ['a line', [], /^\d{4}-.*Z {2}lag \d+ \(/],
    ['JSON', ['--json'], /^\{"at":/],
  ])('is printed as %s a second until it is stopped', async (_, options, line) => {
    const child = start(['lag', '--watch', ...options], settings())
    const exited = once(child, 'exit')
    const seen: string[] = []
    for await (const text of createInterface({ input: child.stdout })) {
      seen.push(text)
      if (seen.length === 3) child.kill('SIGTERM')
    }
    expect(await exited).toEqual([0, null])
    expect(seen.length).toBeGreaterThanOrEqual(3)
    for (const text of seen) expect(text).toMatch(line)
  })

  test('stops when its output is closed', async () => {
    const child = start(['lag', '--watch'], settings())
    const exited = once(child, 'exit')
    await once(child.stdout, 'data')
    child.stdout.destroy()
    expect(await exited).toEqual([0, null])
  })
})

describe('migrate', () => {
  test('says what it would do, does it, and does not change the database of a newer version', async () => {
    const url = await createDatabase({ migrated: false })
    const run = (options: { dryRun?: boolean; json?: boolean }) =>
      outcomeOf((print) => migrate(url, { partitions: 4, print, ...options }))
    expect(await run({ dryRun: true })).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^missing: 0001/),
    })
    expect(await run({})).toMatchObject({ code: 0, stdout: expect.stringMatching(/^applied: 0001/) })
    expect(await run({ dryRun: true })).toEqual({ code: 0, stdout: 'up to date\n' })
    const sql = (statement: string) => eventflow(['sql', statement, '--json'], { DATABASE_URL: url })
    expect((await sql('SELECT count(*) AS n FROM partitions')).stdout).toBe('[{"n":4}]\n')
    await sql(`INSERT INTO kysely_migration VALUES ('9999-later', now())`)
    const newer = await run({ json: true })
    expect(newer.code).toBe(1)
    expect(JSON.parse(newer.stdout)).toMatchObject({ applied: [], unknown: ['9999-later'] })
  })

  test('divides a new database as EVENTFLOW_PART_EVENTS says', async () => {
    const settings = { DATABASE_URL: await createDatabase({ migrated: false }), EVENTFLOW_PART_EVENTS: '5' }
    expect((await eventflow(['migrate'], settings)).code).toBe(0)
    const { stdout } = await eventflow(['parts', '--json'], settings)
    expect(JSON.parse(stdout)[0]).toMatchObject({ from: 1, until: 6 })
  })

  test('creates the first key, and reports an invalid one without a stack trace', async () => {
    const run = (bootstrapKey: string) =>
      outcomeOf((print) => migrate(databaseUrl, { partitions: 4, bootstrapKey, print }))
    const withSecret = (secret: string) => `ef_0123456789ab_${createHash('sha256').update(secret).digest('hex')}`
    expect(await run(withSecret('first'))).toEqual({ code: 0, stdout: 'up to date\n' })
    const refused = {
      name: 'SetupError',
      message: expect.stringMatching(/^EVENTFLOW_BOOTSTRAP_KEY has a different secret/),
    }
    await expect(run(withSecret('other'))).rejects.toMatchObject(refused)
  })
})

test('a role without rights is reported without a stack trace', () => {
  const denied = Object.assign(new Error('permission denied for table ledger'), { code: '42501' })
  expect(unreachable('postgres://reader:secret@127.0.0.1:15432/eventflow', denied)?.message).toBe(
    'Postgres at 127.0.0.1:15432/eventflow: permission denied for table ledger\nUse the DATABASE_URL of ingest and workers.',
  )
})

describe('where the pipeline is', () => {
  test('comes from the environment, or from the up that runs on the data folder', async () => {
    const nowhere = await eventflow(['workers'], {})
    expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining('DATABASE_URL is not set') })

    const folder = await claimFolder(join(dir, '.eventflow'))
    await folder.tell({ postgres: { url: databaseUrl, shell: 'psql' } })
    expect((await stat(join(dir, '.eventflow', 'up.json'))).mode & 0o777).toBe(0o600) // there are passwords in it
    expect((await stat(join(dir, '.eventflow'))).mode & 0o066).toBe(0)
    const found = await eventflow(['sql', 'SELECT current_database() AS name', '--json'], {})
    await folder.release()
    expect(JSON.parse(found.stdout)).toEqual([{ name: new URL(databaseUrl).pathname.slice(1) }])
    expect((await eventflow(['workers'], {})).code).toBe(2)
  })

  test('is reported without the password if nothing answers there or it is the wrong database', async () => {
    const away = await eventflow(['workers'], { DATABASE_URL: 'postgres://me:canary@127.0.0.1:1/x' })
    expect(away).toMatchObject({ code: 2, stderr: expect.stringContaining('Postgres at 127.0.0.1:1/x: ') })
    const wrong = new URL(databaseUrl)
    wrong.pathname = 'not-there'
    const missing = await eventflow(['workers'], { DATABASE_URL: wrong.href })
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('"not-there" does not exist') })
    expect(away.stderr).not.toContain('canary')
  })

  test('may be a database without tables, which is reported', async () => {
    const unmigrated = await createDatabase({ migrated: false })
    await expect(workers(unmigrated, { print: () => {} })).rejects.toThrow('Create the tables with eventflow migrate.')
  })

  test('an error of a statement is shown as Postgres reports it', async () => {
    expect(await eventflow(['sql', 'SELEC 1'])).toMatchObject({
      code: 1,
      stderr: 'ERROR 42601: syntax error at or near "SELEC"\nLINE 1: SELEC 1\n        ^\n',
    })
  })
})

describe('keys', () => {
  const keys = (...args: string[]) => eventflow(['keys', ...args])

  test('are created, listed and revoked for one tenant, with entries in the audit log', async () => {
    const missing = await keys('create', '--tenant', 'acme', '--name', 'shop')
    expect(missing).toMatchObject({ code: 1, stdout: expect.stringContaining('eventflow tenants create acme') })
    expect(await eventflow(['tenants', 'create', 'acme'])).toMatchObject({ code: 0 })
    expect(await eventflow(['tenants', 'create', 'acme'])).toMatchObject({ code: 1 })
    expect((await eventflow(['tenants', 'list'])).stdout).toMatch(/^acme .*\ndefault /m)
    const limited = await eventflow(['tenants', 'limit', 'acme', '--events-per-second', '500'])
    expect(limited).toMatchObject({ code: 0, stdout: 'tenant acme may send 500 events/s and unlimited bytes/s\n' })
    expect((await eventflow(['tenants', 'list'])).stdout).toMatch(/^acme .* 500 +unlimited$/m)

    const made = await keys('create', '--tenant', 'acme', '--name', 'shop', '--scopes', 'ingest,replay')
    const [, key, id] = /^(ef_([0-9a-f]{12})_[0-9a-f]{64})\n/.exec(made.stdout)!
    const listed = await keys('list', '--tenant', 'acme')
    expect(listed.stdout).toMatch(new RegExp(`^${id}  shop  ingest,replay  \\S+Z  never +valid$`, 'm'))
    expect(listed.stdout).not.toContain(key!.slice(16))
    expect((await keys('list')).stdout).not.toContain(id)

    expect(await keys('revoke', id!)).toMatchObject({ code: 1 })
    const later = await keys('revoke', id!, '--tenant', 'acme', '--after-hours', '2')
    expect(later).toMatchObject({ code: 0, stdout: expect.stringContaining('valid until') })
    expect(await keys('revoke', id!, '--tenant', 'acme')).toMatchObject({ code: 0 })
    expect((await keys('list', '--tenant', 'acme')).stdout).toMatch(/ revoked$/m)

    const { rows } = await db.query(`SELECT action, actor FROM audit_log WHERE tenant_id = 'acme' ORDER BY id`)
    expect(rows.map(({ action }) => action)).toEqual([
      'create-tenant',
      'set-quota',
      'create-key',
      'revoke-key',
      'revoke-key',
    ])
    expect(rows[0].actor).toMatch(/ at the command line$/)
  }, 60_000)

  test('must have known scopes', async () => {
    const { code, stderr } = await keys('create', '--name', 'x', '--scopes', 'ingest,all')
    expect([code, stderr]).toEqual([64, expect.stringContaining('ingest,read,replay,admin')])
  })
})
