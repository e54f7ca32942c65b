/** A tenant's pages of the log: only its own entries, each once, in order, and bounded in every way. */
import {
  connect,
  type Db,
  insertProcessed,
  type Lease,
  type LogPlace,
  LogRemovedError,
  readOwnLog,
  takePartitions,
} from '@eventflow/db'
import { acceptEvents, createDatabase, newEvent, processedOf } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const PARTITIONS = [0, 1, 2, 3]

let db: Db
let leases: Lease[]

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
  const taken = await takePartitions(db, 'a', PARTITIONS, { reclaim: false, leaseMs: 60_000 })
  leases = taken.map((lease) => ({ ...lease, dirty: null }))
})

afterAll(() => db.end())

async function settle(events: Parameters<typeof newEvent>[0][], payload = '{"n": 1}') {
  const accepted = await acceptEvents(
    db,
    events.map((event) => newEvent(event)),
  )
  const commits = accepted.map((event) => ({ ...processedOf(event), payload }))
  await insertProcessed(db, commits, leases, { workerId: 'a', processingMs: 1 })
  return accepted
}

const of = (tenantId: string, count: number, given: object = {}) =>
  Array.from({ length: count }, (_, n) => ({ tenantId, partition: n % 4, ...given }))

const START: LogPlace[] = PARTITIONS.map((partition) => ({ partition, after: 0 }))
const page = { limit: 1_000, bytes: 1e6 }

/** Reads pages to the end, and returns the seqs of each. */
async function readAll(tenantId: string, limits: Parameters<typeof readOwnLog>[3], from = START): Promise<number[][]> {
  const pages: number[][] = []
  for (let places = from; ; ) {
    places = places.toSorted((a, b) => a.after - b.after)
    const read = await readOwnLog(db, tenantId, places, limits)
    pages.push(read.flatMap(({ entries }) => entries.map(({ event }) => event.seq)))
    places = places.map(({ partition }, i) => ({ partition, after: read[i]!.reached }))
    if (!read.some(({ more }) => more)) return pages
  }
}

test('a tenant gets its own events, with their data and attributes', async () => {
  const own = await settle([...of('one', 8), ...of('two', 2)])
  const pages = await readOwnLog(db, 'one', START, page)
  const entries = pages.flatMap((read) => read.entries)
  expect(entries.map(({ event }) => event.seq)).toEqual([0, 4, 1, 5, 2, 6, 3, 7].map((n) => own[n]!.seq))
  expect(entries[0]!.event).toMatchObject({ source: '/test', payload: '{"n": 1}', occurredAt: own[0]!.occurredAt })
  expect(await readAll('nobody', page)).toEqual([[]])
})

test.each([1, 2, 3, 5, 7, 100])('pages of %d have every event once, in the order of its partition', async (limit) => {
  const tenantId = `pages-of-${limit}`
  const own = await settle([...of(tenantId, 20), ...of('other', 20), ...of(tenantId, 3, { partition: 2 })])
  const seqs = own.filter((event) => event.tenantId === tenantId).map(({ seq }) => seq)
  const pages = await readAll(tenantId, { ...page, limit })
  expect(Math.max(...pages.map((read) => read.length))).toBeLessThanOrEqual(limit)
  expect(pages.flat().toSorted((a, b) => a - b)).toEqual(seqs)
  const partitionOf = new Map(own.map(({ seq, partition }) => [seq, partition]))
  for (const partition of PARTITIONS) {
    const read = pages.flat().filter((seq) => partitionOf.get(seq) === partition)
    expect(read).toEqual(read.toSorted((a, b) => a - b))
  }
})

test('a page ends once it has the given amount of data, and has at least one event', async () => {
  const own = await settle(of('large', 9), JSON.stringify({ text: 'x'.repeat(1_000) }))
  const pages = await readAll('large', { limit: 100, bytes: 2_500 })
  expect(pages.flat().toSorted((a, b) => a - b)).toEqual(own.map(({ seq }) => seq))
  expect(Math.max(...pages.map((read) => read.length))).toBe(3)
  expect((await readAll('large', { limit: 100, bytes: 1 })).filter((read) => read.length > 0)).toHaveLength(9)
})

test('only events of the given types are read, and the others are passed', async () => {
  const own = await settle([...of('typed', 4, { type: 'x' }), ...of('typed', 4, { type: 'y' })])
  expect((await readAll('typed', { ...page, types: ['x'] })).flat()).toEqual(own.slice(0, 4).map(({ seq }) => seq))
  expect((await readAll('typed', { ...page, types: ['x', 'y'] })).flat()).toHaveLength(8)
  const ends = await readOwnLog(db, 'typed', START, { ...page, types: ['z'] })
  expect(ends.map(({ reached }) => reached)).toEqual(
    (await readOwnLog(db, 'typed', START, page)).map(({ reached }) => reached),
  )
})

test('a page scans a limited number of entries of all tenants, so it may be empty and not the last', async () => {
  await db.query(
    `INSERT INTO processed_events (seq, partition, position, tenant_id, event_id, type, key, payload, attempts, worker_id,
                                   correlation_id, accepted_at, processing_ms)
     SELECT nextval('event_seq'), 0, nextval('log_position'), 'crowd', gen_random_uuid(), 't', 'k', '{}', 1, 'w', 'c', now(), 1
     FROM generate_series(1, 3000)`,
  )
  const [last] = await settle(of('rare', 1))
  const pages = await readAll('rare', page)
  expect(pages).toEqual([[], [last!.seq]])
})

test('a place before the beginning of the log is refused, with its partition', async () => {
  await settle(of('late', 4))
  await db.query('UPDATE log_starts SET low_position = 1 WHERE partition = 2')
  await expect(readOwnLog(db, 'late', START, page)).rejects.toMatchObject({ partition: 2 })
  await expect(readOwnLog(db, 'late', START, page)).rejects.toBeInstanceOf(LogRemovedError)
  await readOwnLog(
    db,
    'late',
    START.map((place) => ({ ...place, after: 1 })),
    page,
  )
})
