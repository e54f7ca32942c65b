/** Migrations: any number of processes may start at once, on any state of the database. */
import {
  applyMigrations,
  asTenant,
  connect,
  countPartitions,
  type Db,
  insertRawEvents,
  makeAhead,
  migrate,
  migrationsFor,
  readBuckets,
  readReach,
  tidyBuckets,
  turnBucket,
} from '@eventflow/db'
import { administer, createDatabase, newEvent, until } from '@eventflow/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

let url: string
let db: Db

beforeEach(async () => {
  url = await createDatabase({ migrated: false })
  db = connect({ url, applicationName: 'test', max: 1, onIdleError: () => {} })
})

afterEach(() => db.end())

const appliedIn = async () => (await db.query('SELECT name FROM kysely_migration ORDER BY name')).rows

test('eight processes at once on an empty database all succeed, and it is migrated once', async () => {
  const runs = await Promise.all(Array.from({ length: 8 }, () => migrate(url, { partitions: 16 })))
  const applied = runs.flat()
  expect(applied.length).toBeGreaterThan(0)
  expect(await appliedIn()).toEqual([...applied].sort().map((name) => ({ name })))
  expect(await countPartitions(db)).toBe(16)
})

test('a second run applies nothing, and the number of partitions counts only the first time', async () => {
  expect(await migrate(url, { partitions: 4 })).not.toEqual([])
  expect(await migrate(url, { partitions: 32 })).toEqual([])
  expect(await countPartitions(db)).toBe(4)
})

test('a failed migration changes nothing, and succeeds once its obstacle is gone', async () => {
  await administer('CREATE VIEW events AS SELECT 1', url)
  await expect(migrate(url, { partitions: 16 })).rejects.toThrow('"events"')
  expect((await db.query(`SELECT to_regclass('raw_events') AS made`)).rows).toEqual([{ made: null }])
  await administer('DROP VIEW events', url)
  expect(await migrate(url, { partitions: 16 })).not.toEqual([])
})

test('positions go on after the last one of a worker that still runs, and settles during the migration', async () => {
  const all = migrationsFor({ partitions: 4 })
  await applyMigrations(url, Object.fromEntries(Object.entries(all).filter(([name]) => name < '0015')))
  await db.query('UPDATE log_heads SET next_position = partition * 10')
  await db.query('BEGIN; UPDATE log_heads SET next_position = 90 WHERE partition = 1')
  const migrating = applyMigrations(url, all)
  await until('the migration waits for the worker', async () => {
    const { rows } = await db.query(`SELECT FROM pg_locks WHERE NOT granted AND relation = 'log_heads'::regclass`)
    return rows.length > 0
  })
  await db.query('COMMIT')
  expect(await migrating).toContain('0015-log-position')
  expect((await db.query(`SELECT nextval('log_position') AS position`)).rows).toEqual([{ position: 90 }])
})

describe('while a dump holds the tables', () => {
  const all: Parameters<typeof applyMigrations>[1] = {
    ...migrationsFor({ partitions: 16 }),
    '9999-later': { up: (db) => db.schema.alterTable('raw_events').addColumn('later', 'text').execute() },
  }
  let dump: Db

  beforeEach(async () => {
    await migrate(url, { partitions: 16 })
    dump = connect({ url, applicationName: 'pg_dump', max: 1, onIdleError: () => {} })
    await dump.query('BEGIN; LOCK TABLE raw_events IN ACCESS SHARE MODE')
  })

  afterEach(() => dump.end())

  test('a migration lets events be accepted in between, and continues afterwards', async () => {
    const migrating = applyMigrations(url, all, { letPassMs: 300 })
    for (let time = 1; time <= 2; time++) {
      await until('the migration waits for its lock', async () => {
        const { rows } = await dump.query(`SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`)
        return rows.length > 0
      })
      // It comes after the migration, and the dump does not end meanwhile.
      expect((await insertRawEvents(db, [newEvent()])).acceptances.size).toBe(1)
    }
    await dump.query('COMMIT')
    expect(await migrating).toEqual(['9999-later'])
  })

  test('a migration blocked for too long changes nothing, and reports what blocks it', async () => {
    await expect(applyMigrations(url, all, { patienceMs: 1, letPassMs: 1 })).rejects.toThrow(
      /locked by another session.*pg_dump/,
    )
    expect(await appliedIn()).toHaveLength(Object.keys(all).length - 1)
    await dump.query('COMMIT')
    expect(await applyMigrations(url, all)).toEqual(['9999-later'])
  })
})

describe('when the programs log in as another role than the owner of the database', () => {
  const roleOf = () => `program_${new URL(url).pathname.slice(1)}`

  /** A new role that has logged in, after an administrator has run these statements. */
  async function logIn(...statements: string[]): Promise<string> {
    const name = roleOf()
    await administer([`CREATE ROLE ${name} LOGIN PASSWORD 'x'`, ...statements].join('; '), url)
    return Object.assign(new URL(url), { username: name, password: 'x' }).href
  }

  const takeOn = (role: string, inherit: boolean) => `GRANT ${role} TO ${roleOf()} WITH INHERIT ${inherit}, SET TRUE`

  test('the tables are the owner’s, and the role may read and write rows', async () => {
    const own = await logIn(takeOn('eventflow_owner', false), takeOn('eventflow_tenant', false))
    expect(await migrate(own, { partitions: 4 })).not.toEqual([])
    const programs = connect({ url: own, applicationName: 'test', max: 1, onIdleError: () => {} })
    expect((await insertRawEvents(programs, [newEvent()])).acceptances.size).toBe(1)
    expect((await programs.query('SELECT FROM raw_events')).rowCount).toBe(1)
    await expect(programs.query('DROP TABLE raw_events')).rejects.toThrow('must be owner')
    // A part that is made later can be dumped by the role, and does not show a tenant the rows of others.
    await makeAhead(own, (await readReach(programs))!, { partEvents: 10, keptDays: 0 }, 3)
    await turnBucket(own, (await readBuckets(programs))!)
    await tidyBuckets(own)
    for (const leaf of ['raw_events_4', 'processed_events_4', 'event_ids_3']) {
      expect((await programs.query(`SELECT FROM ${leaf}`)).rowCount).toBe(0)
      const reading = asTenant(programs, 'default', (tx) => tx.query(`SELECT FROM ${leaf}`))
      await expect(reading).rejects.toThrow(`permission denied for table ${leaf}`)
    }
    await programs.end()
  })

  test('a role that would see no tenant’s rows, because it inherits row security, is told the fix', async () => {
    const own = await logIn(takeOn('eventflow_owner', false), takeOn('eventflow_tenant', true))
    await expect(migrate(own, { partitions: 4 })).rejects.toThrow(
      `GRANT eventflow_tenant TO ${roleOf()} WITH INHERIT FALSE, SET TRUE`,
    )
    await administer(takeOn('eventflow_tenant', false), url)
    await migrate(own, { partitions: 4 })
  })

  test('tables that the role created before it could act as the owner are transferred to the owner', async () => {
    const own = await logIn(takeOn('eventflow_tenant', false), `GRANT CREATE ON SCHEMA public TO ${roleOf()}`)
    await migrate(own, { partitions: 4 })
    const owners = async () => {
      const { rows } = await db.query(
        `SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
      )
      return rows.map(({ owner }) => owner)
    }
    expect(await owners()).toEqual([roleOf()])
    await administer(takeOn('eventflow_owner', false), url)
    const runs = await Promise.all(Array.from({ length: 4 }, () => migrate(own, { partitions: 4 })))
    expect(runs.flat()).toEqual([])
    expect(await owners()).toEqual(['eventflow_owner'])
  })
})
