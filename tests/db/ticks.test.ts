/** What must be proven before a tick is written: who waits for one, up to when acceptance is final, what is settled. */
import { firstDelivery, type Processed } from '@eventflow/core'
import {
  beatIngest,
  connect,
  type Db,
  findAllSettled,
  findAwaitedTicks,
  forgetIngest,
  INGEST_APPLICATION,
  insertProcessed,
  type Lease,
  readFinalTime,
  readPulse,
  writeTicks,
} from '@eventflow/db'
import { acceptEvents, adminUrlOf, createDatabase, newEvent, takeLeases, until } from '@eventflow/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'

let url: string
let db: Db
let leases: Lease[]

beforeAll(async () => {
  url = await createDatabase()
  db = connect({ url, applicationName: 'test', max: 8, onIdleError: () => {} })
  leases = await takeLeases(db, [1, 2])
})

afterEach(async () => {
  await db.query('DELETE FROM consumer_groups')
  await db.query('DELETE FROM log_marks')
  await db.query('DELETE FROM log_holds')
})

afterAll(() => db.end())

/** Seconds, as the windows count them. */
const s = (seconds: number) => BigInt(seconds * 1_000_000)

interface Group {
  kind?: 'window' | 'join' | 'consumer'
  idle?: bigint | null
  outOfOrderness?: bigint
  building?: number | null
  paused?: string | null
}

/** A group with open state of tenant x in partition 1 that is due at 10 s; its last event was accepted at 4 s. */
async function group(given: Group = {}): Promise<number> {
  const { kind = 'window', idle = s(30), outOfOrderness = s(5), building = null, paused = null } = given
  const { rows } = await db.query(
    `INSERT INTO consumer_groups (tenant_id, name, kind, idle, out_of_orderness, building, paused_for)
     VALUES ('operator', gen_random_uuid()::text, $1, $2, $3, $4, $5) RETURNING group_id`,
    [kind, idle?.toString(), `${outOfOrderness}`, building, paused],
  )
  return rows[0].group_id
}

async function open(
  groupId: number,
  given: { generation?: number; tenantId?: string; watermark?: bigint | null; at?: bigint } = {},
) {
  const { generation = 1, tenantId = 'x', watermark = s(-1), at = s(10) } = given
  await db.query(
    'INSERT INTO group_cursors (group_id, generation, partition, position) VALUES ($1, $2, 1, 0) ON CONFLICT DO NOTHING',
    [groupId, generation],
  )
  await db.query(
    `INSERT INTO group_watermarks (group_id, generation, partition, tenant_id, watermark, last_accepted)
     VALUES ($1, $2, 1, $3, $4, $5) ON CONFLICT DO NOTHING`,
    [groupId, generation, tenantId, watermark?.toString(), `${s(4)}`],
  )
  await db.query(
    `INSERT INTO window_state (group_id, generation, partition, tenant_id, key, start_at, first_open, end_at, close_at, state)
     VALUES ($1, $2, 1, $3, gen_random_uuid()::text, 0, 0, $4, $4, '{}')`,
    [groupId, generation, tenantId, `${at}`],
  )
}

const awaited = async (at: bigint, seenSince = s(0)) => {
  const found = await findAwaitedTicks(
    db,
    [
      { partition: 1, seenSince },
      { partition: 2, seenSince },
    ],
    at,
  )
  return found.map(({ partition, tenantId }) => `${partition} ${tenantId}`).sort()
}

describe('a tick is awaited', () => {
  test('once the group has had no event for its idle time, if that closes a window', async () => {
    await open(await group())
    expect(await awaited(s(33))).toEqual([])
    expect(await awaited(s(34))).toEqual(['1 x'])
    expect(await awaited(s(34), s(5))).toEqual([])
    expect(await awaited(s(35), s(5))).toEqual(['1 x'])
  })

  test('not before its time is later than the end of the window by what may be out of order', async () => {
    await open(await group({ idle: s(1) }))
    expect(await awaited(s(15) - 1n)).toEqual([])
    expect(await awaited(s(15))).toEqual(['1 x'])
  })

  test.each<[string, Group]>([
    ['never closes windows without later events', { idle: null }],
    ['is paused', { paused: 'an operator' }],
    ['is a consumer', { kind: 'consumer' }],
  ])('by no group that %s', async (_, given) => {
    await open(await group(given))
    expect(await awaited(s(1_000))).toEqual([])
  })

  test('not for what the watermark has passed: it is being closed', async () => {
    const id = await group()
    await open(id, { watermark: s(10) })
    expect(await awaited(s(1_000))).toEqual([])
    await open(id, { at: s(11) })
    expect(await awaited(s(1_000))).toEqual(['1 x'])
  })

  test('by each tenant with open state, and by the generation that is being built', async () => {
    const id = await group({ building: 2 })
    for (const tenantId of ['x', 'y', 'z']) await open(id, { tenantId, generation: tenantId === 'y' ? 2 : 1 })
    await open(id, { tenantId: 'gone', generation: 3 })
    await open(id, { tenantId: 'later', at: s(2_000) })
    expect(await awaited(s(1_000))).toEqual(['1 x', '1 y', '1 z'])
  })

  test('by a join whose row expires', async () => {
    const id = await group({ kind: 'join' })
    await open(id)
    expect(await awaited(s(1_000))).toEqual([])
    await db.query(
      `INSERT INTO join_rows (group_id, generation, partition, tenant_id, key, side, at, seq, expires_at, event)
       VALUES ($1, 1, 1, 'x', 'k', 'left', 0, 1, $2, '{}')`,
      [id, `${s(10)}`],
    )
    expect(await awaited(s(1_000))).toEqual(['1 x'])
  })

  test('not while the tenant has a hold', async () => {
    await open(await group())
    await db.query("INSERT INTO log_holds VALUES (1, 'other', 4), (2, 'x', 4)")
    expect(await awaited(s(34))).toEqual(['1 x'])
    await db.query("INSERT INTO log_holds VALUES (1, 'x', 4)")
    expect(await awaited(s(34))).toEqual([])
  })

  test('no more if the group has one to read that does it', async () => {
    const id = await group()
    await open(id)
    const tick = { partition: 1, tenantId: 'x', at: s(34), seenSince: s(0) }
    await writeTicks(db, [
      { ...tick, tenantId: 'y' },
      { ...tick, partition: 2 },
      { ...tick, at: s(33) },
      { ...tick, seenSince: s(5) },
    ])
    expect(await awaited(s(40))).toEqual(['1 x'])
    await writeTicks(db, [tick])
    expect(await awaited(s(40))).toEqual([])
    await db.query('UPDATE group_cursors SET position = (SELECT max(position) FROM log_marks)')
    expect(await awaited(s(40))).toEqual(['1 x'])
  })
})

const now = async (): Promise<bigint> =>
  BigInt((await db.query('SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text AS now')).rows[0].now)

describe('acceptance is final', () => {
  test('up to a second ago', async () => {
    const before = await now()
    const final = await readFinalTime(db)
    const after = await now()
    expect(final).toBeGreaterThanOrEqual(before - s(1))
    expect(final).toBeLessThanOrEqual(after - s(1))
  })

  test('only up to before the beginning of a transaction that may still accept an event, even if it has only read', async () => {
    const ingest = connect({ url, applicationName: INGEST_APPLICATION, max: 1, onIdleError: () => {} })
    const client = await ingest.connect()
    await client.query('BEGIN')
    const begun = await now()
    await until('the second is over', async () => (await now()) > begun + s(1.5))
    expect(await readFinalTime(db)).toBeLessThanOrEqual(begun - s(1))
    await client.query('COMMIT')
    expect(await readFinalTime(db)).toBeGreaterThan(begun)
    client.release()
    await ingest.end()
  })

  test('for no time while we may not see what a session does', async () => {
    const ingest = connect({ url: adminUrlOf(url), applicationName: INGEST_APPLICATION, max: 1, onIdleError: () => {} })
    await ingest.query('SET track_activities = off')
    expect(await readFinalTime(db)).toBeUndefined()
    await ingest.end()
    await until('it may be seen again', async () => (await readFinalTime(db)) !== undefined)
  })
})

describe('everything of a tenant is settled', () => {
  const x = { partition: 1, tenantId: 'x' }
  const settled = async (at: bigint) =>
    (await findAllSettled(db, [x, { ...x, tenantId: 'y' }, { ...x, partition: 2 }], at))
      .map(({ partition, tenantId }) => `${partition} ${tenantId}`)
      .sort()

  test('if no event accepted up to the time is unsettled, and none waits', async () => {
    const all = ['1 x', '1 y', '2 x']
    expect(await settled(await now())).toEqual(all)
    const before = await now()
    const [event] = await acceptEvents(db, [newEvent({ tenantId: 'x', partition: 1 })])
    expect(await settled(before)).toEqual(all)
    expect(await settled(await now())).toEqual(['1 y', '2 x'])

    const commit: Processed = { kind: 'processed', delivery: firstDelivery(event!, '{}', []), data: {}, payload: '{}' }
    await insertProcessed(db, [commit], leases, { workerId: 'a', processingMs: 1 })
    expect(await settled(await now())).toEqual(all)

    const [waits] = await acceptEvents(db, [newEvent({ tenantId: 'y', partition: 1 })])
    await db.query(
      `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at) VALUES ('y', $1, $2, 1, 1, now())`,
      [waits!.id, waits!.seq],
    )
    await db.query('UPDATE partitions SET settled_seq = $1 WHERE id = 1', [waits!.seq])
    expect(await settled(await now())).toEqual(['1 x', '2 x'])
  })
})

test('a pulse is a heartbeat of ingest under 3 s old; dead processes are forgotten', async () => {
  expect(await readPulse(db)).toMatchObject({ accepting: false, wanted: false })
  await beatIngest(db, 'one')
  await open(await group())
  expect(await readPulse(db)).toMatchObject({ accepting: true, wanted: true })
  await db.query("UPDATE ingest_processes SET seen_at = now() - interval '4 seconds'")
  expect((await readPulse(db)).accepting).toBe(false)
  await db.query("UPDATE ingest_processes SET seen_at = now() - interval '2 minutes'")
  await beatIngest(db, 'two')
  expect((await db.query('SELECT process_id FROM ingest_processes')).rows).toEqual([{ process_id: 'two' }])
  await forgetIngest(db, 'two')
  expect((await readPulse(db)).accepting).toBe(false)
})
