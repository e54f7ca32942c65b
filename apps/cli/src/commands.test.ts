/** The commands that look at a pipeline, as they are run: what they print, and how they end. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect, type Db, heartbeat, takePartitions } from '@eventflow/db'
import { createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { claimFolder } from './data-folder.js'

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

/** Runs a command in an empty folder, with these settings and nothing else of our environment. */
async function eventflow(args: readonly string[], env: Record<string, string> = { DATABASE_URL: databaseUrl }) {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: dir, env: { PATH: process.env.PATH, ...env } })
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { stdout, stderr, code: code as number }
}

describe('workers', () => {
  test('shows who is alive and who is not; there being none is an exit code', async () => {
    expect(await eventflow(['workers'])).toMatchObject({ code: 1, stdout: expect.stringContaining('no worker') })

    await heartbeat(db, { id: 'gone', host: 'there', pid: 7 })
    await takePartitions(db, 'gone', [1, 2], { reclaim: false })
    await db.query(`UPDATE workers SET heartbeat_at = now() - interval '200 s'`)
    expect((await eventflow(['workers'])).code).toBe(1)
    await heartbeat(db, { id: 'well', host: 'here', pid: 8 })

    const shown = await eventflow(['workers'])
    expect(shown.code).toBe(0)
    expect(shown.stdout).toMatch(/^gone +there +7 .* 3 min \d+ s ago +dead +1 2$/m)
    expect(shown.stdout).toMatch(/^well +here +8 .* 0\.\d s ago +alive +-$/m)
    const { stdout } = await eventflow(['workers', '--json'])
    expect(JSON.parse(stdout)).toMatchObject([
      { id: 'gone', alive: false, partitions: [1, 2] },
      { id: 'well', alive: true },
    ])
  })
})

describe('migrate', () => {
  test('says what it would do, does it, and leaves the database of a newer version alone', async () => {
    const env = { DATABASE_URL: await createDatabase({ migrated: false }) }
    expect(await eventflow(['migrate', '--dry-run'], env)).toMatchObject({
      ...{ code: 1, stdout: expect.stringContaining('to be applied: 0001-pipeline') },
    })
    expect(await eventflow(['migrate', '--partitions', '4'], env)).toMatchObject({
      ...{ code: 0, stdout: expect.stringContaining('applied: 0001-pipeline') },
    })
    expect(await eventflow(['migrate', '--dry-run'], env)).toMatchObject({ code: 0, stdout: 'up to date\n' })
    const partitions = await eventflow(['sql', 'SELECT count(*)::int AS n FROM partitions', '--json'], env)
    expect(JSON.parse(partitions.stdout)).toEqual([{ n: 4 }])

    await eventflow(['sql', `INSERT INTO kysely_migration VALUES ('9999-later', now())`], env)
    const newer = await eventflow(['migrate', '--json'], env)
    expect(newer.code).toBe(1)
    expect(JSON.parse(newer.stdout)).toMatchObject({ applied: [], unknown: ['9999-later'] })
  })
})

describe('where the pipeline is', () => {
  test('is said by the environment, or by the up that runs on the data folder', async () => {
    const nowhere = await eventflow(['workers'], {})
    expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining('DATABASE_URL is not set') })

    const folder = await claimFolder(join(dir, '.eventflow'))
    await folder.tell({ postgres: databaseUrl })
    const found = await eventflow(['sql', 'SELECT current_database() AS name', '--json'], {})
    await folder.release()
    expect(JSON.parse(found.stdout)).toEqual([{ name: new URL(databaseUrl).pathname.slice(1) }])
    expect((await eventflow(['workers'], {})).code).toBe(2)
  })

  test('and when nobody answers there, or it is the wrong database, that is said without the password', async () => {
    const nobody = await eventflow(['workers'], { DATABASE_URL: 'postgres://me:canary@127.0.0.1:1/x' })
    expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('Postgres at 127.0.0.1:1/x: ') })
    const wrong = new URL(databaseUrl)
    wrong.pathname = 'not-there'
    const missing = await eventflow(['workers'], { DATABASE_URL: wrong.href })
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('"not-there" does not exist') })
    expect(nobody.stderr).not.toContain('canary')
  })

  test('what Postgres says of a statement is said as it is', async () => {
    expect(await eventflow(['sql', 'SELEC 1'])).toMatchObject({
      code: 1,
      stderr: '\nPostgres: syntax error at or near "SELEC"\n',
    })
  })
})
