/** Consumer groups for operators: their lag, pausing, resuming, deleting and resetting. */
import type { AcceptedEvent } from '@eventflow/core'
import {
  beginCursors,
  connect,
  type Db,
  deleteConsumerGroup,
  findGroup,
  insertProcessed,
  type Lease,
  listGroups,
  lockParked,
  moveCursors,
  pauseConsumerGroup,
  performReset,
  readGroup,
  registerGroups,
  rehearseReset,
  resetConsumerGroup,
  resumeConsumerGroup,
  takeGroupLeases,
  withTransaction,
} from '@eventflow/db'
import {
  acceptEvents,
  createDatabase,
  newEvent,
  processedOf,
  sessionsWaiting,
  takeLeases,
  until,
} from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

let db: Db
let leases: Lease[]

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 8, onIdleError: () => {} })
  leases = await takeLeases(db, [0, 1, 2])
})

afterAll(() => db.end())

beforeEach(async () => {
  await db.query('DELETE FROM consumer_groups')
  await db.query('DELETE FROM processed_events')
  await db.query('UPDATE log_starts SET low_position = coalesce((SELECT last_value FROM log_position), 0)')
})

/** Settles events, one after another; resolves with them and their positions. */
async function settled(...events: Parameters<typeof newEvent>[0][]) {
  const made: { event: AcceptedEvent; position: number }[] = []
  for (const given of events) {
    const [event] = await acceptEvents(db, [newEvent(given)])
    await insertProcessed(db, [processedOf(event!)], leases, { workerId: 'a', processingMs: 1 })
    const { rows } = await db.query('SELECT position FROM processed_events WHERE seq = $1', [event!.seq])
    made.push({ event: event!, position: rows[0].position })
  }
  return made
}

const x = (partition = 0) => ({ partition, type: 'x' })
const named = { tenantId: 'default', name: 'invoicing' }
const asked = { ...named, by: 'ada' }

/** Makes the group, at the end of the log unless said otherwise. */
async function makeGroup(from: 'latest' | 'earliest' = 'latest', types = ['x']): Promise<number> {
  const ids = await registerGroups(db, [{ name: 'invoicing', version: 1, types, from }])
  return ids.get('invoicing')!
}

/** Makes a group of a tenant that a program reads over HTTP. */
async function makeExternal(tenantId: string, name: string, position: number): Promise<number> {
  const { rows } = await db.query(
    `INSERT INTO consumer_groups (tenant_id, name, kind) VALUES ($1, $2, 'external') RETURNING group_id`,
    [tenantId, name],
  )
  await db.query('INSERT INTO group_cursors (group_id, partition, position) SELECT $1, id, $2 FROM partitions', [
    rows[0].group_id,
    position,
  ])
  return rows[0].group_id
}

type Settled = Awaited<ReturnType<typeof settled>>[number]

async function park(groupId: number, { event, position }: Settled): Promise<void> {
  await db.query(
    `INSERT INTO group_parked (group_id, seq, partition, position, tenant_id) VALUES ($1, $2, $3, $4, $5)`,
    [groupId, event.seq, event.partition, position, event.tenantId],
  )
}

async function bury(groupId: number, { event, position }: Settled, status = 'open'): Promise<void> {
  await db.query(
    `INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
       failure_type, error_class, message, errors, component, attempts, history, worker_id, correlation_id, accepted_at,
       status)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}', 'permanent', 'Error', 'm', '[]', 'handle', 1, '[]', 'w', 'c', now(), $9)`,
    [groupId, event.seq, event.partition, position, event.tenantId, event.id, event.type, event.key, status],
  )
}

async function stateOf(partition = 0, name = named) {
  const group = await findGroup(db, name)
  return group!.partitions.find((one) => one.partition === partition)!
}

const moveTo = (groupId: number, partition: number, position: number) =>
  db.query('UPDATE group_cursors SET position = $3 WHERE group_id = $1 AND partition = $2', [
    groupId,
    partition,
    position,
  ])

const seqs = async (table: string, groupId: number): Promise<number[]> => {
  const { rows } = await db.query(`SELECT seq FROM ${table} WHERE group_id = $1 ORDER BY seq`, [groupId])
  return rows.map(({ seq }) => seq)
}

describe('the lag of a group', () => {
  test('counts the events of its types above its position, and says since when the first of them waits', async () => {
    const groupId = await makeGroup()
    const [before, first, , last] = await settled(x(), x(), { type: 'y' }, x(), x(1))
    await moveTo(groupId, 0, before!.position)
    await db.query(`UPDATE processed_events SET processed_at = now() - interval '90 s' WHERE position = $1`, [
      first!.position,
    ])
    const state = await stateOf()
    expect(state).toMatchObject({ position: before!.position, last: last!.position, lag: { events: 2, more: false } })
    expect(state.lag.ageSeconds).toBeGreaterThanOrEqual(90)
    expect((await stateOf(1)).lag).toMatchObject({ events: 1, more: false })
    expect((await stateOf(2)).lag).toEqual({ events: 0, more: false, ageSeconds: 0 })
  })

  test('is counted up to 10,000 entries of a partition, also if they are of other types', async () => {
    await makeGroup()
    await settled(x())
    await db.query(`
      INSERT INTO processed_events (seq, tenant_id, event_id, type, key, partition, payload, attempts, worker_id,
                                    processing_ms, correlation_id, accepted_at, position, processed_at)
      SELECT 100000 + n, 'default', gen_random_uuid(), CASE WHEN n <= 12000 THEN 'x' ELSE 'y' END, 'k',
             CASE WHEN n <= 12000 THEN 0 ELSE 1 END, '{}', 1, 'w', 1, 'c', now(), nextval('log_position'),
             now() - interval '50 s'
      FROM generate_series(1, 24000) n`)
    expect((await stateOf(0)).lag).toMatchObject({ events: 10_000, more: true })
    const others = (await stateOf(1)).lag
    expect(others).toMatchObject({ events: 0, more: true })
    expect(others.ageSeconds).toBeGreaterThanOrEqual(50)
  })

  test('counts an event that is processed again once, and of a tenant only its own', async () => {
    const [, event] = await settled({ ...x(), tenantId: 'other' }, { ...x(), tenantId: 'acme' })
    await db.query(`
      INSERT INTO log_replaying SELECT seq, partition, position, tenant_id, event_id, type, key, payload, correlation_id,
                                       accepted_at, occurred_at, processed_at FROM processed_events`)
    await makeExternal('acme', 'theirs', 0)
    expect((await stateOf(0, { tenantId: 'acme', name: 'theirs' })).lag).toMatchObject({ events: 1 })
    await db.query('DELETE FROM processed_events WHERE seq = $1', [event!.event.seq])
    expect((await stateOf(0, { tenantId: 'acme', name: 'theirs' })).lag).toMatchObject({ events: 1 })
    await settled({ ...x(), tenantId: 'acme' })
    expect((await stateOf(0, { tenantId: 'acme', name: 'theirs' })).lag).toMatchObject({ events: 2 })
    await db.query('DELETE FROM log_replaying')
  })
})

test('a list has the groups of one tenant, the newest first, with owners, parked events and dead letters', async () => {
  const groupId = await makeGroup('earliest')
  const [one, two] = await settled(x(), { ...x(), tenantId: 'acme' })
  await park(groupId, two!)
  await bury(groupId, one!)
  await bury(groupId, two!, 'discarded')
  await takeGroupLeases(db, 'w', [{ groupId, partition: 0 }], 60_000)
  await takeGroupLeases(db, 'w', [{ groupId, partition: 1 }], -1)
  await makeExternal('acme', 'theirs', 0)
  await makeExternal('default', 'ours', 0)

  const all = await listGroups(db, 'default', { before: undefined, limit: 10 })
  expect(all.map(({ name, kind }) => [name, kind])).toEqual([
    ['ours', 'external'],
    ['invoicing', 'consumer'],
  ])
  const [, group] = all
  expect(group!.partitions[0]).toMatchObject({ owner: 'w', parked: 1, deadLetters: 1 })
  expect(group!.partitions[1]).toMatchObject({ owner: null, parked: 0, deadLetters: 0 })
  expect(await listGroups(db, 'default', { before: all[0]!.groupId, limit: 10 })).toHaveLength(1)
  expect((await listGroups(db, 'acme', { before: undefined, limit: 10 })).map(({ name }) => name)).toEqual(['theirs'])
  expect(await findGroup(db, { tenantId: 'acme', name: 'invoicing' })).toBeUndefined()
})

describe('pausing', () => {
  test('keeps who did it and why, until the group is resumed', async () => {
    const groupId = await makeGroup()
    expect(await pauseConsumerGroup(db, { ...asked, reason: 'the ledger is away' })).toMatchObject({ groupId })
    expect(await readGroup(db, groupId)).toMatchObject({ pausedFor: 'the ledger is away' })
    await expect(pauseConsumerGroup(db, { ...asked, reason: 'again' })).rejects.toThrow(
      'already paused by ada: the ledger is away',
    )
    expect(await resumeConsumerGroup(db, { ...asked, skipLost: false })).toBe(0)
    expect(await findGroup(db, named)).toMatchObject({ pausedFor: null, pausedBy: null, pausedAt: null })
    await expect(resumeConsumerGroup(db, { ...asked, skipLost: false })).rejects.toThrow('is not paused')
    expect(await pauseConsumerGroup(db, { ...asked, name: 'none', reason: 'x' })).toBeUndefined()
  })
})

test('a group whose next events were removed is resumed only if they are to be skipped', async () => {
  const groupId = await makeGroup()
  const [first] = await settled(x(), x())
  await pauseConsumerGroup(db, { ...asked, reason: 'lost history' })
  await db.query('UPDATE log_starts SET low_position = $1 WHERE partition = 0', [first!.position])
  await expect(resumeConsumerGroup(db, { ...asked, skipLost: false })).rejects.toThrow('In 1 partition, events were')
  const before = await stateOf(1)
  expect(await resumeConsumerGroup(db, { ...asked, skipLost: true })).toBe(1)
  expect(await stateOf(0)).toMatchObject({ position: first!.position, lag: { events: 1 } })
  expect(await stateOf(1)).toEqual(before)
  expect(await readGroup(db, groupId)).toMatchObject({ pausedFor: null })
})

test('a group is deleted with everything it has, but not while a worker reads it', async () => {
  const groupId = await makeGroup()
  const [one] = await settled(x())
  await park(groupId, one!)
  await bury(groupId, one!)
  await takeGroupLeases(db, 'w', [{ groupId, partition: 0 }], 60_000)
  await expect(deleteConsumerGroup(db, asked)).rejects.toThrow('The worker w reads')
  await db.query('UPDATE group_leases SET lease_expires_at = now()')
  expect(await deleteConsumerGroup(db, asked)).toMatchObject({ groupId })
  const { rows } = await db.query(`
    SELECT (SELECT count(*) FROM consumer_groups) + (SELECT count(*) FROM group_leases)
         + (SELECT count(*) FROM group_cursors) + (SELECT count(*) FROM group_parked)
         + (SELECT count(*) FROM group_dead_letters) AS count`)
  expect(rows).toEqual([{ count: 0 }])
  expect(await deleteConsumerGroup(db, asked)).toBeUndefined()
  const again = await makeGroup()
  expect(again).not.toBe(groupId)
  expect(await seqs('group_parked', again)).toEqual([])
})

describe('a reset', () => {
  const reset = (to: Parameters<typeof resetConsumerGroup>[1]['to'], emitNew = false) =>
    resetConsumerGroup(db, { ...asked, to, emitNew })
  const nothing = async () => {}

  test('goes to a place of the log: an end, a position, a time', async () => {
    const groupId = await makeGroup()
    const [first, second, third] = await settled(x(), x(), x())
    const low = first!.position - 1
    await db.query('UPDATE log_starts SET low_position = $1', [low])
    await db.query(`UPDATE processed_events SET processed_at = now() - interval '1 hour' WHERE position <= $1`, [
      second!.position,
    ])
    const went = async (to: Parameters<typeof reset>[0]) => {
      await reset(to)
      expect(await performReset(db, groupId, nothing)).toBe('done')
      return (await stateOf()).position
    }
    expect(await went('latest')).toBe(third!.position)
    expect(await went('earliest')).toBe(low)
    expect(await went({ position: second!.position })).toBe(second!.position)
    expect(await went({ position: 0 })).toBe(low)
    expect(await went({ time: new Date(Date.now() - 60_000).toISOString() })).toBe(second!.position)
    await expect(reset({ position: third!.position + 1 })).rejects.toThrow('There is no position')
    expect(await performReset(db, groupId, nothing)).toBe('none')
  })

  test('is rehearsed without a change', async () => {
    const groupId = await makeGroup('earliest')
    const [first, second, third] = await settled(x(), x(), { type: 'y' }, x(1))
    await moveTo(groupId, 0, second!.position)
    const rows = async () => {
      const { rows } = await db.query(
        'SELECT * FROM consumer_groups JOIN group_cursors USING (group_id) ORDER BY partition',
      )
      return rows
    }
    const before = await rows()
    const rehearsed = async (to: Parameters<typeof reset>[0]) => {
      const steps = await rehearseReset(db, named, { to, emitNew: false })
      return steps!.slice(0, 2).map(({ events, ...step }) => [step, events])
    }
    expect((await rehearsed({ position: first!.position }))[0]).toEqual([
      { partition: 0, from: second!.position, to: first!.position },
      { events: 1, more: false },
    ])
    const [zero, one] = await rehearsed('latest')
    expect(zero).toEqual([
      { partition: 0, from: second!.position, to: third!.position },
      { events: 0, more: false },
    ])
    expect(one![1]).toEqual({ events: 1, more: false })
    expect(await rows()).toEqual(before)
    expect(await rehearseReset(db, { ...named, name: 'none' }, { to: 'latest', emitNew: false })).toBeUndefined()
  })

  test('undoes in one transaction, keeps what is parked below, and forgets what is read again', async () => {
    const groupId = await makeGroup('earliest')
    const [low, target, high, dead, given] = await settled(x(), x(), x(), x(), x())
    await moveTo(groupId, 0, given!.position)
    for (const event of [low, target, high]) await park(groupId, event!)
    await bury(groupId, dead!)
    await bury(groupId, given!, 'discarded')
    await db.query('CREATE TABLE IF NOT EXISTS effects (n integer)')
    await db.query('INSERT INTO effects VALUES (1), (2)')
    await reset({ position: target!.position })
    expect(await performReset(db, groupId, async (tx) => void (await tx.query('DELETE FROM effects')))).toBe('done')
    expect((await db.query('SELECT FROM effects')).rowCount).toBe(0)
    expect((await stateOf()).position).toBe(target!.position)
    expect(await seqs('group_parked', groupId)).toEqual([low!.event.seq, target!.event.seq])
    expect(await seqs('group_dead_letters', groupId)).toEqual([given!.event.seq])
    expect(await findGroup(db, named)).toMatchObject({ resetTo: null, resetBy: 'ada', resetError: null, generation: 1 })
  })

  test('waits for the batch in progress, and fences its worker off', async () => {
    const groupId = await makeGroup('earliest')
    const generation = { groupId, generation: 1 }
    const [first, second] = await settled(x(), x())
    const [lease] = await takeGroupLeases(db, 'w', [{ groupId, partition: 0 }], 60_000)
    const [cursor] = await beginCursors(db, generation, [lease!])
    const move = (from: number, to: number) => [{ partition: 0, epoch: lease!.epoch, from, to }]
    await reset('earliest')
    let resetting: Promise<string> | undefined
    await withTransaction(db, async (tx) => {
      expect(await moveCursors(tx, generation, move(cursor!.position, first!.position))).toEqual(new Set())
      resetting = performReset(db, groupId, nothing)
      await until('the reset waits for the batch', async () => (await sessionsWaiting(db)).length === 1)
    })
    expect(await resetting).toBe('done')
    expect((await stateOf()).position).toBe(cursor!.position)
    // The cursor is where the worker once found it, and still is not its own.
    expect(await moveCursors(db, generation, move(cursor!.position, second!.position))).toEqual(new Set([0]))
    const [next] = await takeGroupLeases(db, 'v', [{ groupId, partition: 0 }], 60_000)
    expect(await beginCursors(db, generation, [next!])).toMatchObject([{ position: cursor!.position }])
  })

  test('waits for parked events that are being handled, so that it undoes them as well', async () => {
    const groupId = await makeGroup('earliest')
    const [event] = await settled(x())
    await moveTo(groupId, 0, event!.position)
    await park(groupId, event!)
    await db.query('CREATE TABLE IF NOT EXISTS effects (n integer)')
    await reset('earliest')
    let resetting: Promise<string> | undefined
    await withTransaction(db, async (tx) => {
      await lockParked(tx, groupId, [{ seq: event!.event.seq, attempts: 0 }])
      await tx.query('INSERT INTO effects VALUES (3)')
      resetting = performReset(db, groupId, async (tx) => void (await tx.query('DELETE FROM effects')))
      await until('the reset waits for them', async () => (await sessionsWaiting(db)).length === 1)
    })
    expect(await resetting).toBe('done')
    expect((await db.query('SELECT FROM effects')).rowCount).toBe(0)
  })

  test.each<[string, () => Promise<void>, string]>([
    ['throws', () => Promise.reject(new TypeError('no table')), 'TypeError: no table'],
    ['throws nothing', () => Promise.reject(undefined), 'Error: '],
  ])('whose function %s changes nothing, and says so', async (_, undo, message) => {
    const groupId = await makeGroup('earliest')
    const [event] = await settled(x())
    await moveTo(groupId, 0, event!.position)
    await park(groupId, event!)
    await reset('earliest')
    expect(await performReset(db, groupId, undo)).toBe('failed')
    const group = await findGroup(db, named)
    expect(group).toMatchObject({ resetTo: null, resetError: expect.stringContaining(message) })
    expect((await stateOf()).position).toBe(event!.position)
    expect(await seqs('group_parked', groupId)).toHaveLength(1)
    expect(await performReset(db, groupId, nothing)).toBe('none')
  })

  test('whose function ignores an error of its statements fails as well', async () => {
    const groupId = await makeGroup()
    await reset('earliest')
    const undo = async (tx: { query(text: string): Promise<unknown> }) =>
      void (await tx.query('SELECT 1/0').catch(() => {}))
    expect(await performReset(db, groupId, undo)).toBe('failed')
    expect(await findGroup(db, named)).toMatchObject({
      resetTo: null,
      resetError: expect.stringContaining('RolledBack'),
    })
  })

  test('still waits if another transaction was in the way', async () => {
    const groupId = await makeGroup()
    await reset('earliest')
    const undo = async (tx: { query(text: string): Promise<unknown> }) =>
      void (await tx.query(`DO $$ BEGIN RAISE SQLSTATE '40P01' USING MESSAGE = 'deadlock detected'; END $$`))
    await expect(performReset(db, groupId, undo)).rejects.toThrow('deadlock')
    expect(await findGroup(db, named)).toMatchObject({
      resetTo: { to: 'earliest' },
      resetError: expect.stringContaining('deadlock'),
    })
    expect(await performReset(db, groupId, nothing)).toBe('done')
    expect(await findGroup(db, named)).toMatchObject({ resetTo: null, resetError: null })
  })

  test('is performed by one worker; another one meanwhile has nothing to do', async () => {
    const groupId = await makeGroup()
    await reset('earliest')
    let other: string | undefined
    await performReset(db, groupId, async () => {
      other = await performReset(db, groupId, nothing)
    })
    expect(other).toBe('none')
  })

  test('replaces one that waits, and goes to the position found then, but never behind what is kept', async () => {
    const groupId = await makeGroup('earliest')
    const [first, second] = await settled(x(), x())
    await reset('earliest')
    await reset('latest')
    await settled(x())
    expect(await performReset(db, groupId, nothing)).toBe('done')
    expect((await stateOf()).position).toBe(second!.position)
    await reset('earliest')
    await db.query('UPDATE log_starts SET low_position = $1', [first!.position])
    await performReset(db, groupId, nothing)
    expect((await stateOf()).position).toBe(first!.position)
  })

  test('can begin a new generation, and keeps its cursors', async () => {
    const groupId = await makeGroup()
    const [event] = await settled(x())
    await reset({ position: event!.position }, true)
    await performReset(db, groupId, nothing)
    expect(await readGroup(db, groupId)).toMatchObject({ generation: 2 })
    expect(await stateOf()).toMatchObject({ position: event!.position })
    const { rows } = await db.query('SELECT DISTINCT generation FROM group_cursors WHERE group_id = $1', [groupId])
    expect(rows).toEqual([{ generation: 2 }])
  })

  test('of a group that a program reads is done at once', async () => {
    const [event] = await settled({ ...x(), tenantId: 'acme' })
    await makeExternal('acme', 'theirs', event!.position)
    const theirs = { tenantId: 'acme', name: 'theirs', by: 'bob' }
    expect(await resetConsumerGroup(db, { ...theirs, to: 'earliest', emitNew: false })).toMatchObject({ resetTo: null })
    expect(await stateOf(0, theirs)).toMatchObject({ lag: { events: 1 } })
    await expect(resetConsumerGroup(db, { ...theirs, to: 'latest', emitNew: true })).rejects.toThrow('emits no events')
    const { rows } = await db.query(`SELECT actor, action, subject FROM audit_log WHERE tenant_id = 'acme'`)
    expect(rows).toEqual([{ actor: 'bob', action: 'reset-group', subject: 'group theirs to earliest' }])
  })
})
