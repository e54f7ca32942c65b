/**
 * The plans of the statements that read the log, on tables in thirty parts: they find entries by position in each part,
 * and read no more than they need, with the plan for their values and with the one for any values.
 */
import {
  connect,
  countStretches,
  type Db,
  findAllSettled,
  findAwaitedTicks,
  findPositions,
  makeAhead,
  migrate,
  prepare,
  readHoldsAt,
  readLog,
  readLogEnds,
  readMarks,
  readOwnLog,
  readReach,
  registerGroups,
} from '@eventflow/db'
import { analyzeAsAutovacuum, createDatabase } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { MODES, type Mode, nodesOf, type Plan, planOf, readWhole, rowsRead } from './plan.js'

/** Seqs of a part. */
const PART = 4_000
/** Parts with events; two more are ahead. */
const PARTS = 28
const PARTITIONS = [0, 1, 2, 3]

let db: Db
/** The last position of each partition, and one in the middle. */
let last: number
let middle: number
let groupId: number

beforeAll(async () => {
  const url = await createDatabase({ migrated: false })
  await migrate(url, { partitions: PARTITIONS.length, partEvents: PART })
  db = connect({ url, applicationName: 'test', max: 2, onIdleError: () => {} })
  await makeAhead(url, (await readReach(db))!, { partEvents: PART, keptDays: 0 }, PARTS + 1)
  await prepare(url, [(tx) => load(tx)])
  const group = { name: 'counting', version: 1, types: ['t'], from: 'earliest' as const }
  groupId = (await registerGroups(db, [group])).get(group.name)!
  await analyzeAsAutovacuum(url)
  last = Math.min(...(await readLogEnds(db, PARTITIONS)).map((end) => end.last))
  middle = Math.floor(last / 2)
}, 120_000)

afterAll(() => db.end())

type Tx = Parameters<Parameters<typeof prepare>[1][number]>[0]

/** Every event is processed, and some are being replayed. One of 50 is of a small tenant. */
async function load(tx: Tx): Promise<void> {
  await tx.query(`
    INSERT INTO raw_events (seq, tenant_id, event_id, type, source, key, partition, occurred_at, correlation_id, payload)
    SELECT nextval('event_seq'), CASE WHEN n % 50 < 4 THEN 'small' ELSE 'default' END, gen_random_uuid(), 't', '/', 'k',
           n % ${PARTITIONS.length}, now(), 'c', '{"distance": 1750, "origin": "DTW", "destination": "LAS"}'
    FROM generate_series(1, ${PART * PARTS}) n`)
  await tx.query(`
    INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id,
                                  correlation_id, accepted_at, processing_ms, occurred_at, position)
    SELECT tenant_id, event_id, seq, type, key, partition, payload::jsonb, 1, 'w', correlation_id, accepted_at, 1,
           occurred_at, nextval('log_position')
    FROM raw_events ORDER BY seq`)
  await tx.query(`
    INSERT INTO log_replaying
    SELECT seq, partition, position, tenant_id, event_id, type, key, payload, correlation_id, accepted_at, occurred_at,
           processed_at FROM processed_events WHERE seq % 100 = 0`)
  await tx.query(`
    INSERT INTO log_marks (partition, position, tenant_id, kind, at)
    SELECT n % ${PARTITIONS.length}, nextval('log_position'), 't' || n % 50,
           CASE n % 10 WHEN 0 THEN 'hold' WHEN 1 THEN 'release' ELSE 'tick' END, n
    FROM generate_series(1, 50_000) n`)
  await tx.query('UPDATE partitions SET settled_seq = (SELECT max(seq) - 1000 FROM raw_events)')
  await loadGroups(tx)
}

/** Pages that have reached the end of the log, or not. */
const pages = (after: number, more: boolean) => from(after).map((place) => ({ ...place, reached: after, more }))
/** The groups with open state. */
const GROUPS = 4
/** Rows of each of their tenants in each partition, and how many tenants there are. */
const OPEN = 250
const TENANTS = 20

/** A window and a join with much open state of twenty tenants, none of which is due, and two that are paused. */
async function loadGroups(tx: Tx): Promise<void> {
  await tx.query(`
    INSERT INTO consumer_groups (tenant_id, name, kind, idle, out_of_orderness, paused_for)
    SELECT 'default', 'group ' || n, CASE n % 2 WHEN 0 THEN 'window' ELSE 'join' END, 0, 0, CASE WHEN n > 1 THEN 'rest' END
    FROM generate_series(0, ${GROUPS - 1}) n`)
  await tx.query(`
    INSERT INTO group_cursors (group_id, generation, partition, position)
    SELECT group_id, 1, p, 0 FROM consumer_groups, generate_series(0, ${PARTITIONS.length - 1}) p`)
  // Most tenants have no open state.
  await tx.query(`
    INSERT INTO group_watermarks (group_id, generation, partition, tenant_id, watermark, last_accepted)
    SELECT group_id, 1, p, 't' || t, 0, 0
    FROM consumer_groups, generate_series(0, ${PARTITIONS.length - 1}) p, generate_series(1, ${100 * TENANTS}) t`)
  const rows = `
    FROM consumer_groups g, generate_series(0, ${PARTITIONS.length - 1}) p, generate_series(1, ${TENANTS}) t,
         generate_series(1, ${OPEN}) n`
  await tx.query(`
    INSERT INTO window_state (group_id, generation, partition, tenant_id, key, start_at, first_open, end_at, close_at, state)
    SELECT group_id, 1, p, 't' || t, 'k' || n, 0, 0, 1, 1000000 + n, '{}' ${rows} WHERE g.kind = 'window'`)
  await tx.query(`
    INSERT INTO join_rows (group_id, generation, partition, tenant_id, key, side, at, seq, expires_at, event)
    SELECT group_id, 1, p, 't' || t, 'k' || n, 'left', 0, n, 1000000 + n, '{}' ${rows} WHERE g.kind = 'join'`)
}

const seen = PARTITIONS.map((partition) => ({ partition, seenSince: 0n }))
const from = (after: number) => PARTITIONS.map((partition) => ({ partition, after }))
const page = { limit: 50, bytes: 1e9 }
const small = { tenantId: 'small' }

/** Each part may give its first entry before it is known that the others have lower ones. */
const FIRSTS = PARTS * PARTITIONS.length

/** The most rows of other tables of the ledger. */
const ROWS = 1_000

/** Each statement, and the most entries that it may read. */
const statements: [string, (db: Db) => Promise<unknown>, number, Parameters<typeof planOf>[3]?][] = [
  ['read the log from its beginning', (tx) => readLog(tx, from(0), page), 200 + FIRSTS],
  ['read the log from the middle', (tx) => readLog(tx, from(middle), page), 200 + FIRSTS],
  ['read the log at its end', (tx) => readLog(tx, from(last - 100), page), 200 + 4],
  ['read the log beyond its end', (tx) => readLog(tx, from(last + 1_000), page), 0],
  ['read marks at the end of the log', (tx) => readMarks(tx, pages(last + 49_900, false)), 0],
  ['read marks where entries follow', (tx) => readMarks(tx, pages(middle, false)), FIRSTS],
  ['read marks within a page', (tx) => readMarks(tx, pages(middle, true)), 0],
  ['find the holds at a position', (tx) => readHoldsAt(tx, 1, ['t0', 't1', 't2'], last + 40_000), 0],
  [
    'find out whether all of a tenant is settled',
    (tx) => findAllSettled(tx, [{ partition: 1, tenantId: 'small' }], BigInt(Date.now()) * 1_000n),
    1_000,
  ],
  ['find the windows and joins that await a tick', (tx) => findAwaitedTicks(tx, seen, 10n), 0],
  ['find them when all are due', (tx) => findAwaitedTicks(tx, seen, 10_000_000n), 0],
  // Of each partition, 10,000 entries are looked at.
  [
    'count what a group has not read',
    (tx) =>
      countStretches(
        tx,
        from(0).map((place) => ({ ...place, groupId, until: Number.MAX_SAFE_INTEGER })),
      ),
    40_000 + FIRSTS,
  ],
  ['read the ends of the log', (tx) => readLogEnds(tx, PARTITIONS), FIRSTS],
  [
    'count off the stretches of a page',
    (tx) => readOwnLog(tx, 'small', from(last - 100), page),
    200 + 4,
    { name: 'read-log-stretches' },
  ],
  [
    'count off the stretches of a page from the middle',
    (tx) => readOwnLog(tx, 'small', from(middle), page),
    10_000 + FIRSTS,
    { name: 'read-log-stretches' },
  ],
  // In a stretch, the entries of others are read, too.
  ['read a tenant’s log', (tx) => readOwnLog(tx, 'small', from(last - 100), page), 200 + 4, small],
  ['read a tenant’s log from the middle', (tx) => readOwnLog(tx, 'small', from(middle), page), 10_000 + FIRSTS, small],
  [
    'find the positions of a time',
    (tx) => findPositions(tx, new Date().toISOString(), PARTITIONS),
    20 * PARTITIONS.length + FIRSTS,
  ],
]

/** The nodes that sort more rows than a page has. */
const sorts = (plan: Plan) =>
  nodesOf(plan).filter((node) => /Sort/.test(node['Node Type']) && node['Actual Rows'] > page.limit * PARTITIONS.length)

describe.each<Mode>(MODES)('with %s, the statement to', (mode) => {
  test.each(statements)('%s', async (...[, run, most, options]) => {
    const plan = await planOf(db, run, mode, options)
    expect(readWhole(plan)).toEqual([])
    expect(sorts(plan)).toEqual([])
    const read = rowsRead(plan)
    expect(read.processed_events ?? 0).toBeLessThanOrEqual(most)
    expect(read.raw_events ?? 0).toBeLessThanOrEqual(ROWS)
    // A few for each tenant with open state.
    const state = (read.window_state ?? 0) + (read.join_rows ?? 0) + (read.group_watermarks ?? 0)
    expect(state).toBeLessThanOrEqual(4 * 2 * TENANTS * PARTITIONS.length)
    expect(read.log_marks ?? 0).toBeLessThanOrEqual(ROWS)
  })
})
