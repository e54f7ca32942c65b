/** Migrating: any number of processes may start at once, on any state of the database. */
import { connect, countPartitions, type Db, migrate } from '@eventflow/db'
import { createDatabase } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

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
