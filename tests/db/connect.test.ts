/** Transactions when something goes wrong, and the classification of errors of a real server. */
import { once } from 'node:events'
import {
  connect,
  type Db,
  migrate,
  prepare,
  type Queryable,
  RolledBackError,
  sqlErrorKind,
  withTransaction,
} from '@eventflow/db'
import { freePort } from '@eventflow/local'
import { createDatabase, until } from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

let url: string
let db: Db
/** Connections that no test breaks. */
let onlooker: Db
let idleErrors: Error[]

beforeAll(async () => {
  url = await createDatabase()
  onlooker = connect({ url, applicationName: 'onlooker', max: 1, onIdleError: () => {} })
  await onlooker.query('CREATE TABLE notes (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)')
})

beforeEach(async () => {
  idleErrors = []
  db = connect({ url, applicationName: 'test', max: 2, onIdleError: (error) => idleErrors.push(error) })
  await onlooker.query('TRUNCATE notes')
})

afterEach(() => db.end())

afterAll(() => onlooker.end())

const notes = async () => (await onlooker.query('SELECT n FROM notes ORDER BY n')).rows.map(({ n }) => n)
const write = (n: number) => withTransaction(db, (tx) => tx.query('INSERT INTO notes VALUES ($1)', [n]))
const terminate = (pid: number) => onlooker.query('SELECT pg_terminate_backend($1, 5000)', [pid])

describe('a transaction', () => {
  test('returns the result of its work, and keeps its connection for the next', async () => {
    const pidOf = () =>
      withTransaction(db, async (tx) => (await tx.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number)
    expect(await pidOf()).toBe(await pidOf())
    expect(db.totalCount).toBe(1)
  })

  test('whose work fails commits nothing and closes its connection', async () => {
    const failing = withTransaction(db, async (tx) => {
      await tx.query('INSERT INTO notes VALUES (1)')
      throw new Error('changed our mind')
    })
    await expect(failing).rejects.toThrow('changed our mind')
    expect(db.totalCount).toBe(0)
    await write(2)
    expect(await notes()).toEqual([2])
  })

  test('fails when its COMMIT fails', async () => {
    await write(1)
    await expect(write(1)).rejects.toMatchObject({ code: '23505' })
    expect(db.totalCount).toBe(0)
    expect(await notes()).toEqual([1])
  })

  test.each([
    ['its work says nothing of it', async () => {}],
    ['its work goes on', (tx: Queryable) => tx.query('SELECT 1')],
  ])('fails when a statement in it has failed, also when %s', async (_, goOn) => {
    const swallowing = withTransaction(db, async (tx) => {
      await tx.query('INSERT INTO notes VALUES (1)')
      await tx.query('SELECT 1 / 0').catch(() => {})
      await goOn(tx)
    })
    await expect(swallowing).rejects.toThrow(RolledBackError)
    expect(await notes()).toEqual([])
  })

  test('whose connection is lost fails, and the pool recovers', async () => {
    const broken = withTransaction(db, async (tx) => {
      await tx.query('INSERT INTO notes VALUES (1)')
      await terminate((await tx.query('SELECT pg_backend_pid() AS pid')).rows[0].pid)
      await tx.query('INSERT INTO notes VALUES (2)')
    })
    expect(sqlErrorKind(await broken.catch((error) => error))).toBe('infrastructure')
    await Promise.all([write(3), write(4)])
    expect(await notes()).toEqual([3, 4])
  })

  test('whose connection is lost while the work does something else fails as well', async () => {
    const broken = withTransaction(db, async (tx) => {
      const { rows } = await tx.query('SELECT pg_backend_pid() AS pid')
      const ended = once(tx as unknown as NodeJS.EventEmitter, 'end')
      await terminate(rows[0].pid)
      await ended
    })
    expect(sqlErrorKind(await broken.catch((error) => error))).toBe('infrastructure')
    await write(5)
    expect(await notes()).toEqual([5])
  })
})

test('an idle connection that is lost is logged and replaced', async () => {
  const { rows } = await db.query('SELECT pg_backend_pid() AS pid')
  await terminate(rows[0].pid)
  await until('the loss is told', () => idleErrors.length === 1)
  await write(1)
  expect(await notes()).toEqual([1])
})

test('a full pool makes no caller wait for ever', async () => {
  const clients = [await db.connect(), await db.connect()]
  const error = await db.query('SELECT 1').catch((error) => error)
  for (const client of clients) client.release()
  expect(sqlErrorKind(error)).toBe('infrastructure')
})

test.each<[string, object, string]>([
  ['no file is left for a socket', { code: 'EMFILE', syscall: 'connect', errno: -24 }, 'infrastructure'],
  ['there is no route', { code: 'ENETUNREACH', syscall: 'connect', errno: -101 }, 'infrastructure'],
  ['a certificate has expired', { code: 'CERT_HAS_EXPIRED' }, 'infrastructure'],
  ['a certificate is of another host', { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }, 'infrastructure'],
  ['the server takes no TLS', { message: 'The server does not support SSL connections' }, 'infrastructure'],
  ['a value cannot be written', { message: 'Converting circular structure to JSON' }, 'other'],
  ['code of ours is wrong', { message: 'x is not a function', code: 'ERR_INVALID_ARG_TYPE' }, 'other'],
])('an error of the client library is classified by its message: %s', (_, says, kind) => {
  expect(sqlErrorKind(Object.assign(new Error('something'), says))).toBe(kind)
})

describe('an error of the server', () => {
  const errorOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
    work.then(
      () => new Error('there was none'),
      (error) => error,
    )
  const kindAndCode = async (work: Promise<unknown>) => {
    const error = await errorOf(work)
    return [sqlErrorKind(error), error.code]
  }

  beforeAll(async () => {
    await onlooker.query('CREATE TABLE strict (n integer PRIMARY KEY)')
    await onlooker.query('INSERT INTO strict VALUES (0)')
  })

  test.each([
    ['data', '22P02', `SELECT 'x'::integer`],
    ['data', '22P02', `SELECT '"\\ud800"'::jsonb`],
    ['data', '22P05', `SELECT '"\\u0000"'::jsonb`],
    ['data', '22003', 'SELECT 2147483647 + 1'],
    ['data', '23502', 'INSERT INTO strict VALUES (NULL)'],
    ['data', '23505', 'INSERT INTO strict VALUES (0)'],
    ['data', '54001', `SELECT (repeat('[', 100000) || repeat(']', 100000))::json`],
    ['conflict', '55P03', 'SELECT FROM strict FOR UPDATE NOWAIT'],
    ['infrastructure', '57014', 'SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)'],
    ['infrastructure', '57P01', 'SELECT pg_terminate_backend(pg_backend_pid())'],
    ['statement', '42P01', 'SELECT FROM nowhere'],
    ['statement', '42601', 'SELEKT'],
  ])('is classified as %s: %s of %s', async (kind, code, statement) => {
    await onlooker.query('BEGIN; SELECT FROM strict FOR UPDATE')
    const told = await kindAndCode(db.query(statement))
    await onlooker.query('ROLLBACK')
    expect(told).toEqual([kind, code])
  })

  test('is classified as a conflict: a deadlock', async () => {
    await Promise.all([write(1), write(2)])
    const lock = (n: number) => `SELECT FROM notes WHERE n = ${n} FOR UPDATE`
    let arrived = 0
    const both = async (first: number, second: number) =>
      withTransaction(db, async (tx) => {
        await tx.query(lock(first))
        arrived++
        await until('both have their first lock', () => arrived === 2)
        await tx.query(lock(second))
      })
    const results = await Promise.allSettled([both(1, 2), both(2, 1)])
    const [failed] = results.filter((result) => result.status === 'rejected')
    expect([sqlErrorKind(failed?.reason), failed?.reason.code]).toEqual(['conflict', '40P01'])
  })

  test('is classified as infrastructure: a server that is not there', async () => {
    const port = await freePort(0)
    const away = connect({
      url: `postgres://stranger@127.0.0.1:${port}/x`,
      applicationName: 'test',
      max: 1,
      onIdleError: () => {},
    })
    expect(await kindAndCode(away.query('SELECT 1'))).toEqual(['infrastructure', 'ECONNREFUSED'])
    await away.end()
  })
})

describe('the URL of the database', () => {
  const withQuery = (query: string) => `${url}${url.includes('?') ? '&' : '?'}${query}`
  const open = (query: string) =>
    connect({ url: withQuery(query), applicationName: 'test', max: 1, onIdleError: () => {} })

  test.each([
    'application_name=mine',
    'statement_timeout=0',
    'lock_timeout=0',
    'query_timeout=0',
    'idle_in_transaction_session_timeout=0',
    'options=-c%20statement_timeout%3D0',
    'keepAlive=',
    'max=1000',
    'connect_timeout=1',
  ])('must not set %s: it would override a setting that the pipeline relies on', async (query) => {
    const [name] = query.split('=')
    const message = `DATABASE_URL must not set ${name}: `
    expect(() => open(query)).toThrow(message)
    await expect(migrate(withQuery(query), { partitions: 1 })).rejects.toThrow(message)
    await expect(prepare(withQuery(query), [])).rejects.toThrow(message)
  })

  test('may set the encryption of the connection', async () => {
    const one = open('sslmode=disable')
    const { rows } = await one.query(
      `SELECT current_setting('application_name') AS name, current_setting('lock_timeout') AS lock`,
    )
    expect(rows).toEqual([{ name: 'test', lock: '4s' }])
    await one.end()
  })
})
