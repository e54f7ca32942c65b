/** Migrating: any number of processes may start at once, on any state of the database. */
import {
  applyMigrations,
  connect,
  countPartitions,
  type Db,
  insertRawEvents,
  migrate,
  migrationsFor,
} from '@eventflow/db'
import { createDatabase, newEvent, until } from '@eventflow/testkit'
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

test('a migration that fails changes nothing, and succeeds once what was in its way is gone', async () => {
  await db.query('CREATE VIEW events AS SELECT 1')
  await expect(migrate(url, { partitions: 16 })).rejects.toThrow('"events"')
  expect((await db.query(`SELECT to_regclass('raw_events') AS made`)).rows).toEqual([{ made: null }])
  await db.query('DROP VIEW events')
  expect(await migrate(url, { partitions: 16 })).not.toEqual([])
})

describe('while a dump holds the tables', () => {
  const all: Parameters<typeof applyMigrations>[1] = {
    ...migrationsFor(16),
    '9999-later': { up: (db) => db.schema.alterTable('raw_events').addColumn('later', 'text').execute() },
  }
  let dump: Db

  beforeEach(async () => {
    await migrate(url, { partitions: 16 })
    dump = connect({ url, applicationName: 'pg_dump', max: 1, onIdleError: () => {} })
    await dump.query('BEGIN; LOCK TABLE raw_events IN ACCESS SHARE MODE')
  })

  afterEach(() => dump.end())

  test('a migration lets events be accepted in between, and goes on when it is over', async () => {
    const migrating = applyMigrations(url, all, { letPassMs: 300 })
    for (let time = 1; time <= 2; time++) {
      await until('the migration waits for its lock', async () => {
        const { rows } = await dump.query(`SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`)
        return rows.length > 0
      })
      // It comes after the migration, and the dump does not end meanwhile.
      expect((await insertRawEvents(db, [newEvent()])).size).toBe(1)
    }
    await dump.query('COMMIT')
    expect(await migrating).toEqual(['9999-later'])
  })

  test('a migration that is held up for too long changes nothing, and says who holds it up', async () => {
    await expect(applyMigrations(url, all, { patienceMs: 1, letPassMs: 1 })).rejects.toThrow(
      /locked by another session.*pg_dump/,
    )
    expect(await appliedIn()).toHaveLength(Object.keys(all).length - 1)
    await dump.query('COMMIT')
    expect(await applyMigrations(url, all)).toEqual(['9999-later'])
  })
})
