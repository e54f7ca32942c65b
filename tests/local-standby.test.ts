/** The standby of the local Postgres: it follows, is found again, and is copied anew when it no longer fits. */
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backUp, connect, untilReplayed } from '@eventflow/db'
import { type LocalDatabase, startPostgres, startStandby } from '@eventflow/local'
import { until } from '@eventflow/testkit'
import { afterAll, afterEach, beforeEach, expect, test } from '@jest/globals'

const dir = await mkdtemp(join(tmpdir(), 'eventflow-standby-'))
await chmod(dir, 0o755) // Postgres runs under another account if the tests run as root, and must be able to get there
const said: string[] = []
const log = (line: string) => said.push(line)
const running: LocalDatabase[] = []

const COPIED = 'the data of the standby does not fit the primary, which is copied anew'

beforeEach(() => {
  said.length = 0
})

afterEach(stopAll)
afterAll(() => rm(dir, { recursive: true, force: true }))

async function stopAll(): Promise<void> {
  for (const server of running.splice(0).reverse()) await server.stop()
}

/** Both on any port, so on others than before. */
async function startBoth(folder = 'primary') {
  const primary = await startPostgres({ dir: join(dir, folder), port: 0, standby: true, log })
  running.push(primary)
  const standby = await startStandby({
    dir: join(dir, 'standby'),
    primary,
    port: 0,
    client: { backUp, untilReplayed },
    log,
  })
  running.push(standby)
  return { primary, standby }
}

async function query(url: string, text: string) {
  const db = connect({ url, applicationName: 'test', max: 1, onIdleError: () => {} })
  try {
    return (await db.query(text)).rows
  } finally {
    await db.end()
  }
}

/** When the data folder was made. */
const madeAt = async () => (await stat(join(dir, 'standby', 'data', 'backup_label.old'))).mtimeMs

test('it follows with the roles and passwords of its primary', async () => {
  const { primary, standby } = await startBoth()
  await query(primary.adminUrl, 'CREATE TABLE followed AS SELECT 42 AS answer')
  await until(
    'it has the table',
    async () => (await query(standby.adminUrl, 'SELECT * FROM followed'))[0]?.answer === 42,
  )
  expect(await query(standby.url, 'SELECT current_user AS role, pg_is_in_recovery() AS yes')).toEqual([
    { role: 'eventflow', yes: true },
  ])
  expect(await query(standby.adminUrl, 'SHOW max_standby_streaming_delay')).toEqual([
    { max_standby_streaming_delay: '1s' },
  ])
  expect((await stat(join(dir, 'standby', 'data', 'postgresql.auto.conf'))).mode & 0o777).toBe(0o600)
})

test('the next start continues with its data, also after writes without it', async () => {
  const before = await madeAt()
  const alone = await startPostgres({ dir: join(dir, 'primary'), port: 0, standby: true, log })
  await query(alone.adminUrl, 'CREATE TABLE meanwhile AS SELECT n FROM generate_series(1, 100000) n')
  await query(alone.adminUrl, 'CHECKPOINT')
  await alone.stop()
  const { standby } = await startBoth()
  await until(
    'it has caught up',
    async () => (await query(standby.adminUrl, 'SELECT count(*) AS n FROM meanwhile'))[0]?.n,
  )
  expect(await madeAt()).toBe(before)
  expect(said).not.toContain(COPIED)
})

test('after a damage it is copied anew', async () => {
  await writeFile(join(dir, 'standby', 'data', 'global', 'pg_control'), '')
  const { standby } = await startBoth()
  expect(said).toContain(COPIED)
  expect(await query(standby.adminUrl, 'SELECT * FROM followed')).toEqual([{ answer: 42 }])
})

test('for another primary it is copied anew', async () => {
  const { primary, standby } = await startBoth('another')
  expect(said).toContain(COPIED)
  await query(primary.adminUrl, 'CREATE TABLE other AS SELECT 7 AS answer')
  await until('it has the table', async () => (await query(standby.adminUrl, 'SELECT * FROM other'))[0]?.answer === 7)
})

test('if the primary no longer has the log that it needs, it is copied anew', async () => {
  await startBoth('another')
  await stopAll()
  // Started without a standby, it keeps no more of the log than it needs itself.
  const alone = await startPostgres({ dir: join(dir, 'another'), port: 0, log })
  for (let i = 0; i < 3; i++) {
    await query(alone.adminUrl, 'SELECT pg_switch_wal(), pg_logical_emit_message(true, $$test$$, $$more$$)')
    await query(alone.adminUrl, 'CHECKPOINT')
  }
  await alone.stop()
  said.length = 0
  const { standby } = await startBoth('another')
  expect(said).toContain(COPIED)
  expect(await query(standby.adminUrl, 'SELECT * FROM other')).toEqual([{ answer: 7 }])
})
