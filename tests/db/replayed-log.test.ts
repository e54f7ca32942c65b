/** A processed event that is replayed keeps its place in the log: before, during and after. */
import type { AcceptedEvent, Failed } from '@eventflow/core'
import {
  connect,
  createOperation,
  type Db,
  endWaiting,
  insertFailed,
  insertProcessed,
  type Lease,
  operateOnPart,
  readLog,
  removeDeadLetters,
  takePartitions,
  withTransaction,
} from '@eventflow/db'
import { acceptEvents, createDatabase, deliveryOf, newEvent, processedOf } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let db: Db
let leases: Lease[]

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
  const taken = await takePartitions(db, 'a', [1], { reclaim: false, leaseMs: 60_000 })
  leases = taken.map((lease) => ({ ...lease, dirty: null }))
})

afterAll(() => db.end())

const by = { workerId: 'a', processingMs: 1, now: new Date() }

const accept = (count: number) =>
  acceptEvents(
    db,
    Array.from({ length: count }, () => newEvent({ partition: 1 })),
  )

const process = (events: readonly AcceptedEvent[], payload = '{}') =>
  insertProcessed(
    db,
    events.map((event) => ({ ...processedOf(event), payload })),
    leases,
    by,
  )

async function replay({ tenantId, id, seq }: AcceptedEvent): Promise<void> {
  const selection = { kind: 'replay-processed' as const, tenantId, filter: { ids: [id] } }
  const asked = { ...selection, rate: 100, schemaVersion: null, reason: null, requestedBy: 'ada' }
  const operation = await createOperation(db, asked, { count: 1, first: seq, last: seq })
  const part = { operationId: operation.id, after: 0, until: seq, limit: 10, requestedBy: 'ada', reason: null }
  expect(await withTransaction(db, (tx) => operateOnPart(tx, selection, part))).toMatchObject({ changed: 1 })
}

/** The entries of these events in the log, as seq and payload, in its order. */
async function logOf(events: readonly AcceptedEvent[]) {
  const seqs = new Set(events.map(({ seq }) => seq))
  const [page] = await readLog(db, [{ partition: 1, after: 0 }], { limit: 1_000, bytes: 1_000_000 })
  return page!.entries
    .filter(({ event }) => seqs.has(event.seq))
    .map(({ position, event }) => ({ position, seq: event.seq, payload: event.payload }))
}

const replaying = async () => (await db.query('SELECT seq FROM log_replaying')).rows.map(({ seq }) => seq)

test('a reader finds it once and at the same position, in each state', async () => {
  const events = await accept(3)
  const [, replayed] = events as [AcceptedEvent, AcceptedEvent, AcceptedEvent]
  await process(events)
  const before = await logOf(events)
  await replay(replayed)
  expect(await logOf(events)).toEqual(before)

  // A stream entry may deliver it: then its row of `retries` is there until the retry is due.
  await process([replayed], '{"now": 2}')
  const after = before.map((entry) => (entry.seq === replayed.seq ? { ...entry, payload: '{"now": 2}' } : entry))
  expect((await logOf(events)).map(({ position }) => position)).toEqual(before.map(({ position }) => position))
  await endWaiting(db, events)
  expect(await logOf(events)).toEqual(after)
  expect(await replaying()).toEqual([])
})

test('it may be replayed again before its earlier replay has ended', async () => {
  const events = await accept(1)
  await process(events)
  const before = await logOf(events)
  await replay(events[0]!)
  await process(events)
  await replay(events[0]!)
  expect(await logOf(events)).toEqual(before)
  await process(events)
  await endWaiting(db, events)
  expect([await logOf(events), await replaying()]).toEqual([before, []])
})

test('events that are new in the batch get new positions', async () => {
  const [old, ...others] = (await accept(3)) as [AcceptedEvent, ...AcceptedEvent[]]
  await process([old])
  const [before] = await logOf([old])
  await replay(old)
  await process([old, ...others])
  const positions = (await logOf([old, ...others])).map(({ position }) => position)
  expect(positions[0]).toBe(before!.position)
  expect(new Set(positions).size).toBe(3)
  expect(Math.min(...positions.slice(1))).toBeGreaterThan(before!.position)
  await endWaiting(db, [old])
})

test('an event that fails in its replay keeps its entry until its dead letter is removed', async () => {
  const events = await accept(1)
  await process(events)
  const before = await logOf(events)
  await replay(events[0]!)
  const failure = {
    component: 'handle',
    failureType: 'permanent',
    errorClass: 'X',
    message: 'x',
    problems: [],
  } as const
  const failed: Failed = { kind: 'failed', delivery: deliveryOf(events[0]!), failure: { ...failure, problems: [] } }
  await insertFailed(db, [failed], by)
  await endWaiting(db, events)
  expect(await logOf(events)).toEqual(before)
  await db.query(
    `UPDATE failed_events SET failed_at = now() - interval '9 days', accepted_at = now() - interval '9 days'`,
  )
  await db.query('UPDATE partitions SET settled_seq = $1', [events[0]!.seq])
  await removeDeadLetters(db, 8, { after: 0, limit: 10, archivedOnly: false })
  expect([await logOf(events), await replaying()]).toEqual([[], []])
})

test('an event from before there were positions enters the log when it is processed again', async () => {
  const events = await accept(1)
  await process(events)
  await db.query('UPDATE processed_events SET position = NULL WHERE seq = $1', [events[0]!.seq])
  await replay(events[0]!)
  expect(await logOf(events)).toEqual([])
  await process(events)
  expect(await logOf(events)).toHaveLength(1)
})
