/**
 * The plans of the statements that change what windows, joins and groups hold, or look up what a former generation holds,
 * on tables of which Postgres has no statistics yet: each row is looked up by its key. Otherwise what closes a window
 * would take time with the square of the number of open ones.
 */
import {
  connect,
  type Db,
  deletePanes,
  findUnjoined,
  lockParked,
  type Queryable,
  readLeftOpen,
  writeWaiting,
} from '@eventflow/db'
import { createDatabase, makeStateful } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { MODES, planOf, rowsRead } from './plan.js'

const ROWS = 5_000

let db: Db
let groupId: number

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 2, onIdleError: () => {} })
  groupId = await makeStateful(db, { name: 'w', kind: 'window', types: ['t'], generation: 1 })
  await db.query(
    `INSERT INTO window_state (group_id, generation, partition, tenant_id, key, start_at, first_open, end_at, close_at, hops, state)
     SELECT $1, 1, 0, 'default', 'k' || n, 0, 0, 10, 10, 0, '{}' FROM generate_series(1, ${ROWS}) n`,
    [groupId],
  )
  await db.query(
    `INSERT INTO join_rows (group_id, generation, partition, tenant_id, key, side, at, seq, expires_at, matched, event)
     SELECT $1, 1, 0, 'default', 'k' || n, 'left', 0, n, 10, false, '{}' FROM generate_series(1, ${ROWS}) n`,
    [groupId],
  )
  await db.query(
    `INSERT INTO group_parked (group_id, seq, partition, position, tenant_id, attempts, history, crashes)
     SELECT $1, n, 0, n, 'default', 1, '[]', 0 FROM generate_series(1, ${ROWS}) n`,
    [groupId],
  )
  // The next generation is being built.
  await db.query('UPDATE consumer_groups SET building = 2 WHERE group_id = $1', [groupId])
  await db.query(
    'INSERT INTO group_cursors (group_id, generation, partition, position, former) VALUES ($1, 2, 0, 0, 1)',
    [groupId],
  )
  await db.query(
    `INSERT INTO group_watermarks (group_id, generation, partition, tenant_id, watermark)
     VALUES ($1, 1, 0, 'default', 20)`,
    [groupId],
  )
})

afterAll(() => db.end())

const numbers = Array.from({ length: 20 }, (_, n) => n * 100 + 1)
const place = { partition: 0, tenantId: 'default' }
const waiting = numbers.map((seq) => {
  return { ...place, key: `k${seq}`, side: 'left' as const, time: 0n, seq, expiresAt: 20n, matched: true }
})
const nothing = { inserted: [], updated: [], deleted: [] }

const STATEMENTS: Record<string, { table: string; run: (tx: Queryable) => Promise<unknown> }> = {
  'panes are deleted': {
    table: 'window_state',
    run: (tx) =>
      deletePanes(
        tx,
        ours(),
        numbers.map((n) => ({ ...place, key: `k${n}`, start: 0n, firstOpen: 0n })),
      ),
  },
  'waiting events are updated': {
    table: 'join_rows',
    run: (tx) => writeWaiting(tx, ours(), { ...nothing, updated: waiting }),
  },
  'waiting events are deleted': {
    table: 'join_rows',
    run: (tx) => writeWaiting(tx, ours(), { ...nothing, deleted: waiting }),
  },
  'the next generation finds which windows are left open': {
    table: 'window_state',
    run: (tx) =>
      readLeftOpen(
        tx,
        next(),
        numbers.map((n) => ({ ...place, key: `k${n}` })),
      ),
  },
  'the next generation finds which waiting events were joined with none': {
    table: 'join_rows',
    run: (tx) => findUnjoined(tx, next(), waiting),
  },
  'parked events are locked': {
    table: 'group_parked',
    run: (tx) =>
      lockParked(
        tx,
        groupId,
        numbers.map((seq) => ({ seq, attempts: 1 })),
      ),
  },
}

const ours = () => ({ groupId, generation: 1 })
const next = () => ({ groupId, generation: 2 })

const cases = Object.entries(STATEMENTS).flatMap(([what, statement]) =>
  MODES.map((mode) => ({ what, mode, ...statement })),
)

test.each(cases)('$what: only their rows are read, with $mode', async ({ table, run, mode }) => {
  const read = rowsRead(await planOf(db, run, mode))
  // Once each by the key, and once again to change it.
  expect(read[table]).toBeGreaterThanOrEqual(numbers.length)
  expect(read[table]).toBeLessThanOrEqual(2 * numbers.length)
})
