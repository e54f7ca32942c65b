/** Generations of windows and joins: when one is shown, and what becomes of the former one. */
import { connect, type Db, deleteLeftovers, readGroup, registerGroups, showGeneration } from '@eventflow/db'
import { createDatabase, insertRows, makeStateful } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

let db: Db
let groupId: number

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 2, onIdleError: () => {} })
})

afterAll(() => db.end())

/** Generation 1 has read up to position 10 of each partition; generation 2, which is being built, up to 9. */
beforeEach(async () => {
  await db.query('DELETE FROM consumer_groups')
  groupId = await makeStateful(db, { name: 'w', kind: 'window', building: 2 })
  await db.query('UPDATE group_cursors SET position = 10')
  await db.query(
    `INSERT INTO group_cursors (group_id, generation, partition, position, silent_until, former)
     SELECT group_id, 2, partition, 9, position, 1 FROM group_cursors`,
  )
})

const place = (generation: number) => ({ group_id: groupId, generation, partition: 3, tenant_id: 'default' })
const keyed = (generation: number, key = 'k') => ({ ...place(generation), key })
const pane = { start_at: 0, first_open: 0, end_at: 100, close_at: 100, state: {} }
const waiting = { side: 'left', at: 0, seq: 1, expires_at: 100, event: {} }
const show = () => showGeneration(db, { groupId, generation: 2 })
const moveTo = (position: number) => db.query('UPDATE group_cursors SET position = $1 WHERE generation = 2', [position])

test('a generation is shown once it has read in every partition what the former one had', async () => {
  expect(await show()).toBe(false)
  await moveTo(10)
  await db.query('UPDATE group_cursors SET position = 9 WHERE generation = 2 AND partition = 15')
  expect(await show()).toBe(false)
  await moveTo(10)
  expect(await show()).toBe(true)
  expect(await readGroup(db, groupId)).toMatchObject({ generation: 2, isBuilding: false, hasLeftovers: true })
})

test.each([
  ['window_state', pane],
  ['join_rows', waiting],
])('and once it has ended what event time had passed by then: %s', async (table, row) => {
  await insertRows(db, 'group_watermarks', [{ ...place(2), watermark: 100 }])
  await insertRows(db, table, [{ ...keyed(2), ...row }])
  await moveTo(10)
  expect(await show()).toBe(false)
  // What has become due after that does not matter.
  await moveTo(11)
  expect(await show()).toBe(true)
  await db.query('UPDATE consumer_groups SET generation = 1, building = 2')
  await moveTo(10)
  await db.query('UPDATE group_watermarks SET watermark = 99')
  expect(await show()).toBe(true)
})

test('all that a former generation has left is deleted, however much it is', async () => {
  const many = Array.from({ length: 10_001 }, (_, n) => n)
  await insertRows(db, 'window_state', [
    ...many.map((n) => ({ ...keyed(1, `${n}`), ...pane })),
    { ...keyed(2), ...pane },
  ])
  await insertRows(db, 'join_rows', [
    ...many.map((n) => ({ ...keyed(1), ...waiting, seq: n })),
    { ...keyed(2), ...waiting },
  ])
  await insertRows(db, 'group_watermarks', [
    { ...place(1), watermark: 5 },
    { ...place(2), watermark: 5 },
  ])
  await moveTo(10)
  await show()
  while ((await readGroup(db, groupId))!.hasLeftovers) await deleteLeftovers(db, groupId)
  for (const table of ['window_state', 'join_rows', 'group_watermarks', 'group_cursors']) {
    const { rows } = await db.query(`SELECT DISTINCT generation FROM ${table}`)
    expect([table, rows]).toEqual([table, [{ generation: 2 }]])
  }
})

test('a generation that was replaced before it was shown stays only if it has emitted, where it has', async () => {
  const replaceWith = (version: number) => {
    const state = { kind: 'window', hash: `${version}`, outOfOrderness: 0n, idle: undefined } as const
    return registerGroups(db, [{ name: 'w', version, types: [], from: 'latest', state }])
  }
  const cursors = async () => {
    const { rows } = await db.query(
      `SELECT generation, former, silent_until AS "silentUntil", count(*)::int AS partitions FROM group_cursors
       GROUP BY 1, 2, 3 ORDER BY 1, 2`,
    )
    return rows.filter(({ generation }) => generation > 1)
  }
  const states = async () => (await db.query('SELECT generation FROM window_state')).rows

  await insertRows(db, 'window_state', [{ ...keyed(2), ...pane }])
  await replaceWith(8)
  expect(await cursors()).toEqual([{ generation: 3, former: 1, silentUntil: 10, partitions: 16 }])
  expect(await states()).toEqual([])

  await insertRows(db, 'window_state', [{ ...keyed(3), ...pane }])
  await db.query('UPDATE group_cursors SET position = 12 WHERE generation = 3 AND partition = 3')
  await replaceWith(9)
  const emitted = { generation: 3, former: 1, silentUntil: 10, partitions: 16 }
  const parts = (generation: number) => [
    { generation, former: 1, silentUntil: 10, partitions: 15 },
    { generation, former: 3, silentUntil: 12, partitions: 1 },
  ]
  expect(await cursors()).toEqual([emitted, ...parts(4)])
  expect(await states()).toEqual([{ generation: 3 }])

  // The fourth has emitted nothing.
  await replaceWith(10)
  expect(await cursors()).toEqual([emitted, ...parts(5)])
})
