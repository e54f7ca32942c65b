/**
 * A data folder of an earlier version, whose only role was the superuser: the next start demotes it, and keeps the
 * data.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asTenant, connect, type Db, insertRawEvents, migrate, prepare } from '@eventflow/db'
import { startPostgres } from '@eventflow/local'
import { newEvent } from '@eventflow/testkit'
import { afterAll, expect, test } from '@jest/globals'

const dir = await mkdtemp(join(tmpdir(), 'eventflow-earlier-'))
await chmod(dir, 0o711)

afterAll(() => rm(dir, { recursive: true, force: true }))

const start = () => startPostgres({ dir: join(dir, 'postgres'), port: 0, log: () => {} })

async function using<Result>(url: string, work: (db: Db) => Promise<Result>): Promise<Result> {
  const db = connect({ url, applicationName: 'test', max: 1, onIdleError: () => {} })
  try {
    return await work(db)
  } finally {
    await db.end()
  }
}

const addressOf = (url: string, user: string, password: string, database = 'eventflow') =>
  Object.assign(new URL(url), { username: user, password, pathname: database }).href

/**
 * Turns a new folder into one of an earlier version: the first superuser is `eventflow`, with that password, and owns
 * everything.
 */
async function makeEarlierFolder(): Promise<void> {
  const server = await start()
  const run = (url: string, ...statements: string[]) =>
    using(url, async (db) => {
      for (const statement of statements) await db.query(statement)
    })
  await run(
    addressOf(server.adminUrl, 'eventflow_admin', new URL(server.adminUrl).password, 'postgres'),
    `CREATE ROLE other SUPERUSER LOGIN PASSWORD 'x'`,
  )
  await run(
    addressOf(server.url, 'other', 'x', 'postgres'),
    'DROP DATABASE eventflow',
    'DROP ROLE eventflow, eventflow_owner, eventflow_tenant',
    'ALTER ROLE eventflow_admin RENAME TO eventflow',
    `ALTER ROLE eventflow PASSWORD 'eventflow'`,
  )
  const earlier = addressOf(server.url, 'eventflow', 'eventflow')
  await run(addressOf(server.url, 'eventflow', 'eventflow', 'postgres'), 'DROP ROLE other', 'CREATE DATABASE eventflow')
  await migrate(earlier, { partitions: 4 })
  await using(earlier, (db) => insertRawEvents(db, [newEvent({ partition: 1 }), newEvent({ partition: 2 })]))
  await run(
    earlier,
    'CREATE SCHEMA shop',
    `CREATE TYPE shop.size AS ENUM ('small')`,
    'CREATE TABLE shop.stock (id serial PRIMARY KEY, at bigint GENERATED ALWAYS AS IDENTITY, size shop.size)',
    'CREATE VIEW totals AS SELECT count(*) FROM shop.stock',
    'CREATE TABLE sales (n integer) PARTITION BY RANGE (n)',
    'CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM (1) TO (2)',
    `CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
    `INSERT INTO shop.stock (size) VALUES ('small')`,
  )
  await server.stop()
  for (const role of ['eventflow', 'eventflow_admin']) await rm(join(dir, 'postgres', `${role}.pgpass`))
}

test('it is taken over without a loss: an ordinary role for the programs, an owner for the tables, and a void old password', async () => {
  await makeEarlierFolder()
  for (const time of ['first', 'second']) {
    const { url, stop } = await start()
    await expect(using(addressOf(url, 'eventflow', 'eventflow'), (db) => db.query('SELECT 1'))).rejects.toThrow(
      'password',
    )
    expect(await migrate(url, { partitions: 16 })).toEqual([])
    await using(url, async (db) => {
      const { rows: roles } = await db.query(
        `SELECT rolname AS name, rolsuper AS super FROM pg_roles WHERE oid = 10 OR rolname = session_user ORDER BY 1`,
      )
      expect(roles).toEqual([
        { name: 'eventflow', super: false },
        { name: 'eventflow_admin', super: true },
      ])
      const { rows: owners } = await db.query(`
        SELECT relname AS name, relowner::regrole::text AS owner FROM pg_class
        WHERE relname IN ('raw_events', 'raw_events_1', 'event_seq', 'event_ids', 'event_ids_1', 'events', 'kysely_migration',
                          'sales', 'sales_1', 'stock', 'stock_id_seq', 'totals') ORDER BY 1`)
      const owned = (owner: string, ...names: string[]) => names.map((name) => ({ name, owner }))
      expect(owners).toEqual([
        ...owned('eventflow_owner', 'event_ids', 'event_ids_1', 'event_seq', 'events', 'kysely_migration'),
        ...owned('eventflow_owner', 'raw_events', 'raw_events_1'),
        ...owned('eventflow', 'sales', 'sales_1', 'stock', 'stock_id_seq', 'totals'),
      ])
      // Tables of the pipeline, and tables that handlers created.
      await insertRawEvents(db, [newEvent({ partition: 3 })])
      expect((await db.query('SELECT FROM raw_events')).rowCount).toBe(time === 'first' ? 3 : 4)
      expect((await asTenant(db, 'default', (tx) => tx.query('SELECT FROM raw_events'))).rowCount).toBe(
        time === 'first' ? 3 : 4,
      )
      expect((await asTenant(db, 'other', (tx) => tx.query('SELECT FROM raw_events'))).rowCount).toBe(0)
    })
    await prepare(url, [
      async (tx) => {
        await tx.query('ALTER TABLE shop.stock ADD COLUMN IF NOT EXISTS name text')
        await tx.query('CREATE INDEX IF NOT EXISTS stock_name ON shop.stock (name)')
        await tx.query('INSERT INTO shop.stock (name) VALUES ($1)', [time])
        expect(await tx.query('SELECT count::integer, one() FROM totals')).toEqual([
          { count: time === 'first' ? 2 : 3, one: 1 },
        ])
      },
    ])
    await stop()
  }
})
