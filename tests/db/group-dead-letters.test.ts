/** Dead letters of consumer groups: listed, replayed and discarded. */
import type { AcceptedEvent } from '@eventflow/core'
import {
  connect,
  countGroupDeadLetters,
  type Db,
  discardGroupDeadLetters,
  endParking,
  findGroup,
  findGroupDeadLetter,
  type GroupState,
  insertProcessed,
  type Lease,
  listGroupDeadLetters,
  performReset,
  readDueParked,
  registerGroups,
  replayGroupDeadLetters,
  resetConsumerGroup,
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
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

let db: Db
let leases: Lease[]
let group: GroupState
/** Of the tenants default, acme and default. */
let events: AcceptedEvent[]

const asked = { tenantId: 'default', name: 'invoicing', by: 'ada', filter: {}, reason: null }

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 8, onIdleError: () => {} })
  leases = await takeLeases(db, [0])
})

afterAll(() => db.end())

beforeEach(async () => {
  await db.query('DELETE FROM consumer_groups')
  await db.query('DELETE FROM processed_events')
  await registerGroups(db, [{ name: 'invoicing', version: 1, types: ['x', 'y'], from: 'earliest' }])
  group = (await findGroup(db, asked))!
  const given = [{ key: 'k' }, { tenantId: 'acme', type: 'y' }, { key: 'k' }]
  events = await acceptEvents(
    db,
    given.map((one) => newEvent({ type: 'x', ...one })),
  )
  await insertProcessed(db, events.map(processedOf), leases, { workerId: 'a', processingMs: 1 })
  await db.query(
    `INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
       failure_type, error_class, message, errors, component, attempts, history, worker_id, correlation_id, accepted_at)
     SELECT $1, seq, partition, position, tenant_id, event_id, type, key, payload, 'permanent',
            initcap(type) || 'Error', 'm', '[]', 'handle', 4, '[{"attempt": 4}]', 'w', correlation_id, accepted_at
     FROM processed_events`,
    [group.groupId],
  )
})

const statuses = async () => {
  const { rows } = await db.query('SELECT status FROM group_dead_letters WHERE group_id = $1 ORDER BY seq', [
    group.groupId,
  ])
  return rows.map(({ status }) => status).join()
}

const listed = async (given: Partial<Parameters<typeof listGroupDeadLetters>[1]>, before?: number) => {
  const rows = await listGroupDeadLetters(db, { group, filter: {}, ...given }, { before, limit: 10 })
  return rows.map(({ seq }) => events.findIndex((event) => event.seq === seq))
}

test('they are listed in pages, of all tenants, by type, error class, key and status', async () => {
  expect(await listed({})).toEqual([2, 1, 0])
  expect(await listed({}, events[2]!.seq)).toEqual([1, 0])
  expect(await listed({ filter: { type: 'y' } })).toEqual([1])
  expect(await listed({ filter: { errorClass: 'XError' } })).toEqual([2, 0])
  expect(await listed({ filter: { key: 'k', to: '2001-01-01T00:00:00Z' } })).toEqual([])
  expect(await listed({ status: 'discarded' })).toEqual([])
  expect(await listed({ group: { ...group, kind: 'external' } })).toEqual([2, 0])
})

test('one is shown only to the tenant of its event', async () => {
  const { groupId } = group
  const [own, theirs] = events.map(({ tenantId, id }) => ({ tenantId, id }))
  expect(await findGroupDeadLetter(db, groupId, own!)).toMatchObject({ payload: {}, history: [{ attempt: 4 }] })
  expect(await findGroupDeadLetter(db, groupId, { ...theirs!, tenantId: 'default' })).toBeUndefined()
})

test('a replay parks them with all their attempts, in their order, and a success resolves them', async () => {
  const { groupId } = group
  const change = { ...asked, filter: { errorClass: 'XError' }, reason: 'mended' }
  expect(await replayGroupDeadLetters(db, change)).toEqual({ changed: 2, more: false })
  expect(await statuses()).toBe('replaying,open,replaying')
  const due = await readDueParked(db, groupId, [0], { held: [], limit: 10 })
  expect(due).toMatchObject([
    { event: { seq: events[0]!.seq }, attempts: 0 },
    { event: { seq: events[2]!.seq }, attempts: 0 },
  ])
  expect(due[0]!.history).toMatchObject([
    { attempt: 4 },
    { attempt: 0, component: 'replay', message: 'requested by ada: mended' },
  ])
  await withTransaction(db, (tx) => endParking(tx, groupId, { processed: [events[0]!.seq], failed: [] }))
  expect(await statuses()).toBe('replayed,open,replaying')
  // They are not open.
  expect(await replayGroupDeadLetters(db, change)).toEqual({ changed: 0, more: false })
  const { rows } = await db.query(`SELECT actor, action, subject, filter, count, reason FROM audit_log`)
  expect(rows).toEqual([
    {
      ...{ actor: 'ada', action: 'replay-group-dead-letters', subject: 'group invoicing' },
      ...{ filter: { errorClass: 'XError' }, count: 2, reason: 'mended' },
    },
  ])
})

test('those whose events were removed from the log stay open, and are counted', async () => {
  await db.query('DELETE FROM processed_events WHERE seq = $1', [events[0]!.seq])
  expect(await countGroupDeadLetters(db, { group, filter: { type: 'x' } })).toMatchObject({
    ...{ count: 2, more: false, removed: 1 },
    samples: [{ event_id: events[0]!.id }, { event_id: events[2]!.id }],
  })
  expect(await replayGroupDeadLetters(db, asked)).toEqual({ changed: 2, more: false })
  expect(await statuses()).toBe('open,replaying,replaying')
})

test('a discard keeps them with its reason', async () => {
  const change = { ...asked, filter: { ids: [events[1]!.id] }, reason: 'a test' }
  expect(await discardGroupDeadLetters(db, change)).toEqual({ changed: 1, more: false })
  expect(await statuses()).toBe('open,discarded,open')
  const [row] = await listGroupDeadLetters(
    db,
    { group, filter: {}, status: 'discarded' },
    { before: undefined, limit: 1 },
  )
  expect(row).toMatchObject({ resolved_by: 'ada', reason: 'a test', resolved_at: expect.any(Date) })
  expect(await discardGroupDeadLetters(db, { ...change, name: 'none' })).toBeUndefined()
})

/** Adds dead letters and parked events of events that the log does not have. */
async function add(table: 'dead' | 'parked', count: number): Promise<void> {
  const columns = 'group_id, seq, partition, position, tenant_id'
  const values = `SELECT $1, 1000000 + n, 0, 1000000 + n, 'default'`
  await (table === 'parked'
    ? db.query(`INSERT INTO group_parked (${columns}) ${values} FROM generate_series(1, $2) n`, [group.groupId, count])
    : db.query(
        `INSERT INTO group_dead_letters (${columns}, event_id, type, key, payload, failure_type, error_class, message,
           errors, component, attempts, history, worker_id, correlation_id, accepted_at)
         ${values}, gen_random_uuid(), 'x', 'k', '{}', 'permanent', 'E', 'm', '[]', 'handle', 1, '[]', 'w', 'c', now()
         FROM generate_series(1, $2) n`,
        [group.groupId, count],
      ))
}

test('one change has a bounded size, and says whether there is more', async () => {
  await add('dead', 1_200)
  const change = { ...asked, filter: { errorClass: 'E' } }
  expect(await discardGroupDeadLetters(db, change)).toEqual({ changed: 1_000, more: true })
  expect(await discardGroupDeadLetters(db, change)).toEqual({ changed: 200, more: false })
})

test('a replay adds no more than a group may park', async () => {
  await add('parked', 9_998)
  expect(await replayGroupDeadLetters(db, asked)).toEqual({ changed: 2, more: true })
  await expect(replayGroupDeadLetters(db, asked)).rejects.toThrow('10000 events of the group invoicing are parked')
  expect(await statuses()).toBe('replaying,replaying,open')
})

test('a reset takes back what a replay has parked; a replay waits for a reset in progress', async () => {
  const { groupId } = group
  const reset = () => resetConsumerGroup(db, { ...asked, to: 'earliest', emitNew: false })
  await replayGroupDeadLetters(db, { ...asked, filter: { type: 'y' } })
  await reset()
  let replaying: Promise<unknown> | undefined
  const undo = async () => {
    replaying = replayGroupDeadLetters(db, asked)
    await until('the replay waits', async () => (await sessionsWaiting(db)).length === 1)
  }
  expect(await performReset(db, groupId, undo)).toBe('done')
  expect(await replaying).toEqual({ changed: 0, more: false })
  expect(await statuses()).toBe('')
  expect(await readDueParked(db, groupId, [0], { held: [], limit: 10 })).toEqual([])
})
