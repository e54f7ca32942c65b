/**
 * Rows of `retries` are removed according to the state at that moment, also while another transaction is about to
 * change it.
 */
import type { AcceptedEvent, Delivery, Failed } from '@eventflow/core'
import {
  connect,
  createOperation,
  type Db,
  endWaiting,
  insertFailed,
  insertProcessed,
  type OperationKind,
  operateOnPart,
  type Queryable,
  recordSuspects,
  withTransaction,
} from '@eventflow/db'
import { acceptEvents, createDatabase, newEvent, sessionsWaiting, until } from '@eventflow/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
})

afterAll(() => db.end())

const by = { workerId: 'worker-1', processingMs: 1, now: new Date() }

function deliveryOf(event: AcceptedEvent): Delivery {
  return { event, payload: '{}', entryIds: [], attempts: 0, history: [], crashes: 0, inRetries: false }
}

async function accept(given: { tenantId?: string; id?: string } = {}): Promise<AcceptedEvent> {
  const [event] = await acceptEvents(db, [newEvent(given)])
  return event!
}

async function bury(event: AcceptedEvent): Promise<void> {
  const failure = {
    component: 'handle',
    failureType: 'permanent',
    errorClass: 'X',
    message: 'x',
    problems: [],
  } as const
  const failed: Failed = { kind: 'failed', delivery: deliveryOf(event), failure: { ...failure, problems: [] } }
  await insertFailed(db, [failed], by)
}

async function process(event: AcceptedEvent): Promise<void> {
  const commit = { kind: 'processed', delivery: deliveryOf(event), data: {}, payload: '{}' } as const
  await insertProcessed(db, [commit], [{ partition: event.partition, epoch: 0, dirty: 0 }], by)
}

/** A row in `retries`, as another copy of the event leaves it. */
const suspect = (event: AcceptedEvent) =>
  recordSuspects(db, [deliveryOf(event)], { partition: event.partition, epoch: 0, dirty: null })

/** Runs an operation on the event up to its COMMIT. */
async function operate(tx: Queryable, kind: OperationKind, { tenantId, id, seq }: AcceptedEvent): Promise<void> {
  const selection = { kind, tenantId, filter: { ids: [id] } }
  const asked = { ...selection, rate: 100, schemaVersion: null, reason: null, requestedBy: 'ada' }
  const operation = await createOperation(db, asked, { count: 1, first: seq, last: seq })
  const part = { operationId: operation.id, after: 0, until: seq, limit: 10, requestedBy: 'ada', reason: null }
  expect(await operateOnPart(tx, selection, part)).toMatchObject({ changed: 1 })
}

const stateOf = async ({ tenantId, id }: AcceptedEvent) => {
  const { rows } = await db.query(
    `SELECT (SELECT count(*) FROM processed_events WHERE tenant_id = $1 AND event_id = $2) AS processed,
            (SELECT count(*) FROM retries WHERE tenant_id = $1 AND event_id = $2) AS retries,
            (SELECT status FROM failed_events WHERE tenant_id = $1 AND event_id = $2) AS letter`,
    [tenantId, id],
  )
  return rows[0]
}

describe('the row of an event', () => {
  test('that is not settled stays', async () => {
    const event = await accept()
    await suspect(event)
    await endWaiting(db, [event])
    expect(await stateOf(event)).toEqual({ processed: 0, retries: 1, letter: null })
  })

  test.each(['processed', 'dead'])('that is %s is removed', async (end) => {
    const event = await accept()
    await suspect(event)
    await (end === 'dead' ? bury(event) : process(event))
    await endWaiting(db, [event])
    expect(await stateOf(event)).toMatchObject({ retries: 0 })
  })
})

describe('a replay in progress keeps the row that it has written', () => {
  test.each<[OperationKind, (event: AcceptedEvent) => Promise<void>, object]>([
    ['replay-dead-letters', bury, { processed: 0, letter: 'replaying' }],
    ['replay-processed', process, { processed: 0, letter: null }],
  ])('%s', async (kind, end, state) => {
    const event = await accept()
    await end(event)
    await suspect(event)
    let ending: Promise<void> | undefined
    await withTransaction(db, async (tx) => {
      await operate(tx, kind, event)
      ending = endWaiting(db, [event])
      await until('it waits for the replay', async () => (await sessionsWaiting(db)).length === 1)
    })
    await ending
    expect(await stateOf(event)).toEqual({ ...state, retries: 1 })
  })
})

test('the dead letter of an event being replayed stays in that state until the event is processed', async () => {
  const event = await accept()
  await bury(event)
  await withTransaction(db, (tx) => operate(tx, 'replay-dead-letters', event))
  await endWaiting(db, [event])
  expect(await stateOf(event)).toEqual({ processed: 0, retries: 1, letter: 'replaying' })
  await process(event)
  await endWaiting(db, [event])
  expect(await stateOf(event)).toEqual({ processed: 1, retries: 0, letter: 'replayed' })
})

test('settling an event changes neither another event of its tenant nor the one with the same id of another tenant', async () => {
  const event = await accept()
  const others = [await accept(), await accept({ tenantId: 'other', id: event.id })]
  for (const other of others) {
    await bury(other)
    await withTransaction(db, (tx) => operate(tx, 'replay-dead-letters', other))
  }
  await suspect(event)
  await process(event)
  await endWaiting(db, [event])
  expect(await stateOf(event)).toEqual({ processed: 1, retries: 0, letter: null })
  for (const other of others) expect(await stateOf(other)).toEqual({ processed: 0, retries: 1, letter: 'replaying' })
})
