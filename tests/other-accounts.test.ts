/**
 * What another account of the machine can do to the Postgres and the Redis of `eventflow up`: nothing without their
 * passwords.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { connect, migrate, prepare } from '@eventflow/db'
import { type LocalDatabase, startPostgres, startRedis } from '@eventflow/local'
import { connectRedis, untilReady } from '@eventflow/redis'
import { redisCacheDir } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

const run = promisify(execFile)
const isRoot = process.getuid!() === 0
/** An account that owns nothing. */
const STRANGER = 54_321

let dir: string
let postgres: LocalDatabase
let redis: LocalDatabase

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'eventflow-accounts-'))
  await chmod(dir, 0o711)
  const log = () => {}
  ;[postgres, redis] = await Promise.all([
    startPostgres({ dir: join(dir, 'postgres'), port: 0, log }),
    startRedis({ dir: join(dir, 'redis'), port: 0, cacheDir: redisCacheDir(), log }),
  ])
  await migrate(postgres.url, { partitions: 4 })
})

afterAll(async () => {
  await Promise.all([postgres.stop(), redis.stop()])
  await rm(dir, { recursive: true, force: true })
})

const folders = () => ['postgres', 'redis'].map((name) => join(dir, name))

/** What Postgres answers at this URL: the result of a statement, or an error. */
async function sql(url: string, statement: string): Promise<string> {
  const db = connect({ url, applicationName: 'stranger', max: 1, onIdleError: () => {} })
  try {
    return JSON.stringify((await db.query(statement)).rows)
  } catch (error) {
    return (error as Error).message
  } finally {
    await db.end()
  }
}

const addressOf = (user: string, password: string) =>
  Object.assign(new URL(postgres.url), { username: user, password }).href

/** What Redis answers on a connection that sends these lines. */
function redisSays(...lines: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connectTcp({ port: redis.port, host: '127.0.0.1' }, () =>
      socket.write(`${[...lines, 'QUIT'].join('\r\n')}\r\n`),
    )
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
  })
}

describe('without a password', () => {
  test.each([
    ['eventflow', 'eventflow'],
    ['eventflow', ''],
    ['eventflow_admin', 'eventflow'],
    ['eventflow_admin', ''],
    ['postgres', ''],
    ['eventflow_owner', ''],
    ['eventflow_tenant', ''],
  ])('Postgres refuses %s with "%s"', async (user, password) => {
    expect(await sql(addressOf(user, password), 'SELECT 1')).toMatch(/password|SASL/)
  })

  test('Redis answers nothing, and accepts no event', async () => {
    expect(await redisSays('GET x')).toMatch(/^-NOAUTH /)
    expect(await redisSays('XADD ef:{p0}:events * e forged')).toMatch(/^-NOAUTH /)
    expect(await redisSays('AUTH eventflow', 'GET x')).toMatch(/^-WRONGPASS .*\r\n-NOAUTH /)
    expect(await redisSays('CONFIG SET dir /tmp')).toMatch(/^-NOAUTH /)
  })
})

describe('with the passwords of the programs', () => {
  test.each([
    [`COPY (SELECT 1) TO PROGRAM 'id'`, /permission denied to COPY to or from an external program/],
    [`COPY (SELECT 1) TO '/tmp/eventflow-stranger'`, /permission denied to COPY to a file/],
    [`SELECT pg_read_file('postgresql.conf')`, /permission denied for function pg_read_file/],
    [`ALTER SYSTEM SET fsync = off`, /permission denied to set parameter/],
    ['CREATE DATABASE other', /permission denied to create database/],
    ['CREATE ROLE other SUPERUSER', /permission denied to create role/],
    ['ALTER ROLE eventflow SUPERUSER', /permission denied to alter role/],
    ['SET ROLE eventflow_admin', /permission denied to set role/],
    ['DROP TABLE raw_events', /must be owner of table raw_events/],
    ['ALTER TABLE raw_events DISABLE TRIGGER ALL', /must be owner of table raw_events/],
    ['TRUNCATE audit_log', /permission denied for table audit_log/],
  ])('Postgres refuses %s', async (statement, message) => {
    expect(await sql(postgres.url, statement)).toMatch(message)
  })

  test('the role sees every tenant, inherits nothing from the owner, and can create tables for handlers', async () => {
    const state = `SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, pg_has_role('pg_read_all_stats', 'USAGE') AS statistics,
      pg_has_role('eventflow_owner', 'USAGE') AS owner, pg_has_role('eventflow_tenant', 'USAGE') AS tenant
      FROM pg_roles WHERE rolname = session_user`
    expect(JSON.parse(await sql(postgres.url, state))).toEqual([
      {
        ...{ rolsuper: false, rolcreatedb: false, rolcreaterole: false, rolbypassrls: false },
        ...{ statistics: true, owner: false, tenant: false },
      },
    ])
    await prepare(postgres.url, [async (tx) => void (await tx.query('CREATE TABLE mine (n integer)'))])
    expect(
      await sql(postgres.url, `SELECT tableowner FROM pg_tables WHERE tablename IN ('mine', 'raw_events') ORDER BY 1`),
    ).toBe('[{"tableowner":"eventflow"},{"tableowner":"eventflow_owner"}]')
  })

  test.each([
    'CONFIG SET dir /tmp',
    'FLUSHALL',
    'SHUTDOWN NOSAVE',
    'REPLICAOF 127.0.0.1 1',
    'ACL LIST',
    'KEYS *',
    'MODULE LIST',
  ])('Redis refuses %s', async (command) => {
    const { username, password } = new URL(redis.url)
    expect(await redisSays(`AUTH ${username} ${password}`, command)).toMatch(/^\+OK\r\n-NOPERM /)
  })
})

test('files on the disk are closed to other accounts', async () => {
  const found: string[] = []
  for (const folder of folders()) {
    found.push(...(await openTo(folder)).map((path) => path.replace(dir, '')))
  }
  // Programs of root's servers may be copies in there, and the folders themselves can be passed through, not read.
  expect(found.filter((path) => !/^\/\w+\/(binaries-[^/]+|program)(\/|$)/.test(path))).toEqual([])
})

/**
 * Files that others may read or write, and folders that they may list or change, unless a folder above is closed to
 * them.
 */
async function openTo(path: string): Promise<string[]> {
  const { mode } = await stat(path)
  const open = mode & 0o066 ? [path] : []
  if ((mode & 0o170000) !== 0o040000 || (mode & 0o011) === 0) return open
  const inside = await Promise.all((await readdir(path)).map((name) => openTo(join(path, name))))
  return [...open, ...inside.flat()]
}

test('a program of another account that listens on the port of Redis does not get the password', async () => {
  const own = await mkdtemp(join(tmpdir(), 'eventflow-port-'))
  await chmod(own, 0o711)
  const heard: string[] = []
  const start = () => startRedis({ dir: own, port: 0, cacheDir: redisCacheDir(), log: () => {} })
  const first = await start()
  await first.stop()
  // As root, the unprivileged account listens; another user has no second account, and 0.0.0.0 stands for it.
  const program = `
    if (${isRoot}) process.setuid(${STRANGER})
    require('node:net').createServer((socket) => socket.on('data', (data) => process.stdout.write(data)))
      .listen(${first.port}, ${isRoot} ? '127.0.0.1' : '0.0.0.0', () => process.stdout.write('listens'))`
  const stranger = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  stranger.stdout.setEncoding('utf8').on('data', (text) => heard.push(text))
  try {
    await once(stranger.stdout, 'data')
    const second = await start()
    expect(second.port).not.toBe(first.port)
    await second.stop()
    expect(heard).toEqual(['listens'])
  } finally {
    stranger.kill()
    await rm(own, { recursive: true, force: true })
  }
})

test('no password is in the arguments of a process, in a log or in terminal output', async () => {
  const passwords = [postgres, redis].flatMap(({ url, adminUrl }) =>
    [url, adminUrl].map((each) => new URL(each).password),
  )
  expect(new Set(passwords).size).toBe(4)
  const shown = [
    (await run('ps', ['-eo', 'args'], { maxBuffer: 1e8 })).stdout,
    ...(await Promise.all(
      [join(dir, 'postgres/postgres.log'), join(dir, 'redis/redis.log')].map((file) => readFile(file, 'utf8')),
    )),
    postgres.shell,
    redis.shell,
  ].join('\n')
  for (const password of passwords) {
    expect(password).toMatch(/^[0-9a-f]{64}$/)
    expect(shown.includes(password)).toBe(false)
  }
})

// Only root can become another account.
if (isRoot)
  describe('as another account', () => {
    const asStranger = (command: string, args: string[]) =>
      run(command, args, { uid: STRANGER, gid: STRANGER, cwd: '/' }).then(
        () => 'done',
        (error) => error.stderr as string,
      )

    test('passwords, logs and data cannot be read, and folders cannot be listed', async () => {
      const files = ['postgres/eventflow.pgpass', 'postgres/eventflow_admin.pgpass', 'postgres/postgres.log']
      const others = [
        'redis/application.password',
        'redis/administrator.password',
        'redis/redis.log',
        'postgres/data/PG_VERSION',
      ]
      for (const file of [...files, ...others]) {
        await stat(join(dir, file))
        expect(await asStranger('cat', [join(dir, file)])).toContain('Permission denied')
      }
      for (const folder of [...folders(), join(dir, 'postgres/data'), join(dir, 'redis/data')]) {
        expect(await asStranger('ls', [folder])).toContain('Permission denied')
      }
    })

    test('no server runs as root', async () => {
      for (const file of ['postgres/data', 'redis/data']) expect((await stat(join(dir, file))).uid).not.toBe(0)
      const admin = connectRedis({ url: redis.adminUrl, onError: () => {} })
      await untilReady(admin, 5_000)
      const pid = /^process_id:(\d+)/m.exec(await admin.info('server'))![1]
      admin.disconnect()
      expect((await stat(`/proc/${pid}`)).uid).toBe((await stat(join(dir, 'redis/data'))).uid)
    })
  })

test('the printed line for psql works unchanged, if psql is installed', async () => {
  const { stdout } = await run('sh', [
    '-c',
    `command -v psql >/dev/null || { echo eventflow; exit; }; ${postgres.shell} -Atc 'SELECT session_user'`,
  ])
  expect(stdout.trim()).toBe('eventflow')
})

test('the printed line for redis-cli works unchanged', async () => {
  const cli = /(\S+) -p \d+$/.exec(redis.shell)![1]!
  const { stdout } = await run('sh', [
    '-c',
    `command -v ${cli} >/dev/null || { echo OK; exit; }; ${redis.shell} FLUSHALL`,
  ])
  expect(stdout.trim()).toBe('OK')
})
