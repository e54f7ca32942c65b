/** Consumer groups in Postgres: where they begin, and what moves their cursors. */
import {
  beginCursors,
  connect,
  type Db,
  GroupMismatchError,
  moveCursors,
  OPERATOR_TENANT,
  registerGroups,
  takeGroupLeases,
} from '@eventflow/db'
import { createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 8, onIdleError: () => {} })
  await db.query('UPDATE log_starts SET low_position = 40 WHERE partition = 2')
})

afterAll(() => db.end())

const definition = { name: 'a', version: 1, types: ['t'], from: 'earliest' as const }

const register = async (given: Partial<Parameters<typeof registerGroups>[1][number]> = {}) => {
  const ids = await registerGroups(db, [{ ...definition, ...given }])
  return ids.get(given.name ?? definition.name)!
}

async function positions(groupId: number): Promise<Record<string, number>> {
  const { rows } = await db.query('SELECT partition, position FROM group_cursors WHERE group_id = $1', [groupId])
  return Object.fromEntries(rows.map(({ partition, position }) => [partition, position]))
}

test('a new group begins where it says; one that exists stays where it is', async () => {
  const earliest = await register({ name: 'earliest' })
  expect(await positions(earliest)).toMatchObject({ 1: 0, 2: 40 })
  expect(await positions(await register({ name: 'latest', from: 'latest' }))).toMatchObject({ 1: 0, 2: 40 })
  const given = await register({ name: 'given', from: { position: 50 } })
  expect(await positions(given)).toMatchObject({ 1: 50, 2: 50 })
  expect(await register({ name: 'given', version: 2, from: 'earliest', types: ['u'] })).toBe(given)
  expect(await positions(given)).toMatchObject({ 1: 50 })
  expect((await db.query('SELECT version, types FROM consumer_groups WHERE group_id = $1', [given])).rows).toEqual([
    { version: 2, types: ['u'] },
  ])
})

test('an older version of a definition is refused, and the name of a group of another program', async () => {
  await register({ name: 'newer', version: 3 })
  await expect(register({ name: 'newer', version: 2 })).rejects.toThrow(GroupMismatchError)
  await db.query(`INSERT INTO consumer_groups (tenant_id, name, kind) VALUES ($1, 'theirs', 'external')`, [
    OPERATOR_TENANT,
  ])
  await expect(register({ name: 'theirs' })).rejects.toThrow(`'theirs' is read by another program`)
})

test('a cursor is moved once, by the owner of the present epoch, from where it is', async () => {
  const groupId = await register({ name: 'moved' })
  const generation = { groupId, generation: 1 }
  const take = async (worker: string) => {
    const [lease] = await takeGroupLeases(db, worker, [{ groupId, partition: 1 }], 60_000)
    return lease
  }
  const first = (await take('a'))!
  expect(await take('b')).toBeUndefined()
  expect(await beginCursors(db, generation, [first])).toEqual([
    { partition: 1, position: 0, unpublished: [], silentUntil: 0 },
  ])
  const move = { partition: 1, epoch: first.epoch, from: 0, to: 10 }
  expect(await moveCursors(db, generation, [move])).toEqual(new Set())
  expect(await moveCursors(db, generation, [move])).toEqual(new Set([1]))
  const second = (await take('a'))!
  expect(second.epoch).toBeGreaterThan(first.epoch)
  await beginCursors(db, generation, [second])
  expect(await moveCursors(db, generation, [{ ...move, from: 10, to: 20 }])).toEqual(new Set([1]))
  expect(await beginCursors(db, generation, [first])).toEqual([])
  expect(await moveCursors(db, { groupId, generation: 2 }, [{ ...move, ...second, from: 10, to: 20 }])).toEqual(
    new Set([1]),
  )
  expect(await positions(groupId)).toMatchObject({ 1: 10 })
})
