/** Reading the log by position. */
import { firstDelivery, type Processed } from '@eventflow/core'
import { connect, type Db, insertProcessed, type Lease, readLog, readLogEnds } from '@eventflow/db'
import { acceptEvents, createDatabase, newEvent, takeLeases } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

let db: Db
let leases: Lease[]

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 8, onIdleError: () => {} })
  leases = await takeLeases(db, [1, 2, 3])
})

afterAll(() => db.end())

async function settled(events: Parameters<typeof newEvent>[0][]) {
  const accepted = await acceptEvents(
    db,
    events.map((event) => newEvent(event)),
  )
  const commits = accepted.map((event): Processed => {
    return { kind: 'processed', delivery: firstDelivery(event, '{}', []), data: {}, payload: '{"enriched": true}' }
  })
  await insertProcessed(db, commits, leases, { workerId: 'a', processingMs: 1 })
  return accepted
}

const all = { limit: 100, bytes: 1_000_000 }

test('each partition is read in the order of its commits, from the given position on', async () => {
  const [a, b] = await settled([{ partition: 1 }, { partition: 2 }])
  const [later] = await settled([{ partition: 1 }])
  const [ones, twos] = await readLog(
    db,
    [
      { partition: 1, after: 0 },
      { partition: 2, after: 0 },
    ],
    all,
  )
  expect(ones!.entries.map(({ event }) => event.seq)).toEqual([a!.seq, later!.seq])
  expect(twos!.entries.map(({ event }) => event.id)).toEqual([b!.id])
  expect(ones!.entries[0]!.event).toMatchObject({
    source: a!.source,
    payload: '{"enriched": true}',
    occurredAt: a!.occurredAt,
  })
  const [rest] = await readLog(db, [{ partition: 1, after: ones!.entries[0]!.position }], all)
  expect(rest).toMatchObject({ entries: [{ event: { seq: later!.seq } }], reached: ones!.reached, more: false })
  expect(await readLogEnds(db, [1])).toEqual([{ partition: 1, last: ones!.reached, low: 0 }])
})

test('entries that are not chosen are passed over; the page says how far it has read', async () => {
  const events = ['x', 'y', 'x', 'y'].map((type) => ({ partition: 3, type }))
  await settled(events)
  const place = { partition: 3, after: 0 }
  const [xs] = await readLog(db, [place], { ...all, types: ['x'] })
  expect(xs!.entries).toHaveLength(2)
  const [end] = await readLogEnds(db, [3])
  expect(xs!.reached).toBe(end!.last)
  expect(await readLog(db, [place], { ...all, types: ['z'], limit: 3 })).toMatchObject([{ entries: [], more: true }])
  expect(await readLog(db, [place], { ...all, tenantId: 'nobody' })).toMatchObject([{ entries: [], more: false }])
})

test('a page ends once it has the given amount of data, and has at least one event', async () => {
  const [page] = await readLog(db, [{ partition: 3, after: 0 }], { limit: 100, bytes: 1 })
  expect(page).toMatchObject({ more: true })
  expect(page!.entries).toHaveLength(1)
  expect(page!.reached).toBe(page!.entries[0]!.position)
})
