/** `eventflow sql` and `eventflow doctor` with a standby. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { createDatabase, type ReplicatedPostgres, startReplicatedPostgres, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { findStandby } from './addresses.js'
import { checkStandby } from './doctor/check-standby.js'
import type { Terminal } from './sql/runner.js'
import { sql } from './sql/sql.js'

/** No server listens there. */
const NOWHERE = 'postgres://x@127.0.0.1:1/x'

let postgres: ReplicatedPostgres
let dir: string

beforeAll(async () => {
  postgres = await startReplicatedPostgres()
  dir = await mkdtemp(join(tmpdir(), 'eventflow-cli-standby-'))
}, 60_000)

afterAll(async () => {
  await postgres?.stop()
  await rm(dir, { recursive: true, force: true })
})

/** Runs statements; resolves with what it printed and noted. */
async function ask(statement: string, options: { standby?: string; onPrimary?: boolean }) {
  const output = new PassThrough() as unknown as Terminal & PassThrough
  const notes: string[] = []
  let printed = ''
  output.on('data', (more) => {
    printed += more
  })
  const code = await sql(postgres.primaryUrl, {
    ...{ statement, format: 'csv', input: new PassThrough(), output, env: {}, historyFile: join(dir, 'history') },
    ...{ note: (note: string) => notes.push(note), onInterrupt: () => {}, ...options },
  })
  return { code, printed, notes }
}

const WHERE = 'SELECT pg_is_in_recovery() AS standby'

test('sql uses the standby, the primary on demand, and the primary if the standby does not answer', async () => {
  const standby = postgres.standbyUrl
  expect(await ask(WHERE, { standby })).toEqual({ code: 0, printed: 'standby\nt\n', notes: [] })
  expect(await ask(WHERE, { standby, onPrimary: true })).toEqual({ code: 0, printed: 'standby\nf\n', notes: [] })
  expect(await ask(WHERE, {})).toEqual({ code: 0, printed: 'standby\nf\n', notes: [] })
  expect(await ask(WHERE, { standby: NOWHERE })).toEqual({
    ...{ code: 0, printed: 'standby\nf\n' },
    notes: [
      expect.stringMatching(/^The standby cannot be used, so this is the primary\. Postgres at 127\.0\.0\.1:1\/x: /),
    ],
  })
})

test('a statement that writes says how it runs on the primary', async () => {
  const { code, notes } = await ask('CREATE TABLE written ()', { standby: postgres.standbyUrl })
  expect(code).toBe(1)
  expect(notes).toEqual([
    'ERROR 25006: cannot execute CREATE TABLE in a read-only transaction',
    'HINT: this is the standby; with --primary it runs on the primary',
  ])
  const primary = await ask('SELECT 1 / 0', { standby: postgres.standbyUrl })
  expect(primary.notes).toEqual([expect.stringMatching(/^ERROR 22012/)])
})

test.each([
  [{}, 'standby'],
  [{ onPrimary: true }, 'primary'],
])('the prompt names the server %j', async (options, name) => {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode() {} })
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 100, rows: 100 }) as unknown as Terminal &
    PassThrough
  let screen = ''
  output.on('data', (more) => {
    screen += more
  })
  const ended = sql(postgres.primaryUrl, {
    ...{ format: 'table', input, output, env: {}, historyFile: join(dir, name), standby: postgres.standbyUrl },
    ...{ note: () => {}, onInterrupt: () => {}, ...options },
  })
  await until('it asks', () => screen.includes(`eventflow (${name})=> `))
  input.write('\\q\n')
  expect(await ended).toBe(0)
})

test('the standby is that of the environment, and with DATABASE_URL no other', async () => {
  expect(await findStandby({ DATABASE_REPLICA_URL: 'postgres://a' }, dir)).toBe('postgres://a')
  expect(await findStandby({ DATABASE_URL: 'postgres://b' }, dir)).toBe(undefined)
  expect(await findStandby({}, dir)).toBe(undefined)
})

test('doctor: one that follows, one behind, one that is away, and two wrong ones', async () => {
  const check = (standby?: string) => checkStandby({ postgres: postgres.primaryUrl, standby, redis: '', prefix: 'ef' })
  expect(await check()).toEqual([])
  expect(await check(postgres.standbyUrl)).toEqual([
    {
      check: 'postgres standby',
      level: 'ok',
      message: expect.stringMatching(/^in recovery, less than \d\.\d s behind$/),
    },
  ])
  await postgres.pause()
  expect(await check(postgres.standbyUrl)).toEqual([
    expect.objectContaining({
      level: 'warning',
      message: expect.stringMatching(/^it is more than 2 s and .* behind, so reads use the primary$/),
    }),
  ])
  await postgres.resume()
  expect(await check(NOWHERE)).toEqual([
    expect.objectContaining({
      level: 'warning',
      message: expect.stringMatching(/127\.0\.0\.1:1\/x.*: reads use the primary$/),
    }),
  ])
  for (const wrong of [postgres.primaryUrl, await createDatabase()]) {
    expect(await check(wrong)).toEqual([
      expect.objectContaining({
        level: 'error',
        message: expect.stringMatching(/^DATABASE_REPLICA_URL: .*does not start/),
      }),
    ])
  }
})
