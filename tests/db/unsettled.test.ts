/** The work list according to Postgres: accepted, unsettled events that do not wait for a retry. */

import { firstDelivery } from '@eventflow/core'
import {
  connect,
  countInRanges,
  type Db,
  INGEST_APPLICATION,
  insertRawEvents,
  markDirty,
  readFinalSeqs,
  readLastSeqs,
  readRetries,
  readUnsettled,
  recordSuspects,
  takeBackSuspicion,
  takePartitions,
} from '@eventflow/db'
import { acceptEvents, administer, createDatabase, newEvent, until } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

let url: string
let db: Db

beforeAll(async () => {
  url = await createDatabase()
  db = connect({ url, applicationName: 'test', max: 4, onIdleError: () => {} })
})

beforeEach(async () => {
  await administer(
    'TRUNCATE event_ids, raw_events, processed_events, failed_events, retries',
    db.options.connectionString!,
  )
})

afterAll(() => db.end())

const accept = (count: number, partition: number) =>
  acceptEvents(
    db,
    Array.from({ length: count }, () => newEvent({ partition })),
  )
/** Inserts a row for an event into a table. */
const put = (table: string, { id }: { id: string }, columns: Record<string, string>) =>
  db.query(
    `INSERT INTO ${table} (tenant_id, event_id, ${Object.keys(columns).join()})
     SELECT tenant_id, event_id, ${Object.values(columns).join()} FROM raw_events WHERE event_id = $1`,
    [id],
  )
const process = (event: { id: string }) =>
  put('processed_events', event, {
    ...{ seq: 'seq', type: 'type', key: 'key', partition: 'partition', payload: 'payload', attempts: '1' },
    ...{ worker_id: `'w'`, correlation_id: 'correlation_id', accepted_at: 'accepted_at', processing_ms: '1' },
  })
const bury = (event: { id: string }, status: string) =>
  put('failed_events', event, {
    ...{ seq: 'seq', type: 'type', key: 'key', partition: 'partition', payload: 'payload', attempts: '1' },
    ...{ worker_id: `'w'`, correlation_id: 'correlation_id', accepted_at: 'accepted_at', failure_type: `'permanent'` },
    ...{ error_class: `'E'`, message: `'m'`, errors: `'[]'`, component: `'c'`, history: `'[]'`, status: `'${status}'` },
  })
const retry = (event: { id: string }) =>
  put('retries', event, { seq: 'seq', partition: 'partition', attempts: '1', due_at: 'now()', history: `'[]'` })
const everyone = { tenantId: undefined, others: [] }
const unsettled = async (
  partition: number,
  given: { after?: number; until?: number; except?: number[]; limit?: number; bytes?: number },
) => {
  const { after = 0, until = 1e15, except = [], limit = 100, bytes = 1e9 } = given
  const options = { except, limit, bytes }
  const [look] = await readUnsettled(db, [{ ...everyone, partition, after, until }], options)
  return look!.events.map(({ seq }) => seq)
}

test('holds the unsettled events without a retry, in the order of acceptance, partition by partition', async () => {
  const events = await accept(8, 1)
  const seqs = events.map(({ seq }) => seq)
  await accept(2, 2)
  await process(events[0]!)
  await bury(events[1]!, 'open')
  await bury(events[2]!, 'discarded')
  await retry(events[3]!)
  await bury(events[4]!, 'replaying')
  expect(await unsettled(1, {})).toEqual(seqs.slice(4))
  expect(await unsettled(1, { after: seqs[5]! })).toEqual(seqs.slice(6))
  expect(await unsettled(1, { until: seqs[5]! })).toEqual(seqs.slice(4, 6))
  expect(await unsettled(1, { except: [seqs[6]!] })).toEqual([seqs[4], seqs[5], seqs[7]])
  expect(await unsettled(1, { limit: 2 })).toEqual(seqs.slice(4, 6))
  const both = [1, 2].map((partition) => ({ ...everyone, partition, after: 0, until: 1e15 }))
  expect(await readUnsettled(db, both, { except: [], limit: 1, bytes: 1e9 })).toMatchObject([
    { events: [{ partition: 1 }], more: true },
    { events: [{ partition: 2 }], more: true },
  ])
  expect(await countInRanges(db, both)).toEqual([8, 2])
  expect(await readLastSeqs(db, [2, 1, 0])).toEqual([seqs[7]! + 2, seqs[7], 0])
})

test('a read is limited to a number of bytes, but returns at least one event', async () => {
  const events = Array.from({ length: 4 }, () =>
    newEvent({ partition: 1, payload: JSON.stringify({ x: 'x'.repeat(1_000) }) }),
  )
  const seqs = (await acceptEvents(db, events)).map(({ seq }) => seq)
  const range = { ...everyone, partition: 1, after: 0, until: 1e15 }
  const read = async (limit: number, bytes: number) => {
    const [look] = await readUnsettled(db, [range], { except: [], limit, bytes })
    return [look!.events.length, look!.more]
  }
  expect(await read(10, 1)).toEqual([1, true])
  expect(await read(10, 2_100)).toEqual([3, true])
  expect(await read(10, 1e6)).toEqual([4, false])
  expect(await read(4, 1e6)).toEqual([4, true])
  expect(await unsettled(1, { bytes: 1, after: seqs[1]! })).toEqual([seqs[2]])
})

test('is read for one tenant, or for all but some, with any names', async () => {
  const names = ['a', `b'",{\\}`, 'c']
  const events = [...names, ...names].map((tenantId) => newEvent({ tenantId, partition: 1 }))
  const accepted = await acceptEvents(db, events)
  const seqsOf = (...tenants: string[]) => accepted.filter((e) => tenants.includes(e.tenantId)).map(({ seq }) => seq)
  const range = { partition: 1, after: 0, until: 1e15, others: [], tenantId: undefined }
  const ranges = [
    range,
    { ...range, others: names.slice(1) },
    { ...range, tenantId: names[1] },
    { ...range, tenantId: 'd' },
  ]
  const found = await readUnsettled(db, ranges, { except: [], limit: 100, bytes: 1e9 })
  expect(found.map(({ events }) => events.map(({ seq }) => seq))).toEqual([
    seqsOf(...names),
    seqsOf('a'),
    seqsOf(names[1]!),
    [],
  ])
})

test('an event is final when nothing can be committed before it any more', async () => {
  const [old] = await accept(1, 1)
  await db.query(`UPDATE raw_events SET accepted_at = now() - interval '1 minute'`)
  await accept(1, 1)
  expect(await readFinalSeqs(db, [1, 2])).toEqual([old!.seq, 0])
})

test('an event is not final while an uncommitted INSERT may have an earlier seq', async () => {
  const ingest = connect({ url, applicationName: INGEST_APPLICATION, max: 1, onIdleError: () => {} })
  const slow = await ingest.connect()
  await slow.query('BEGIN')
  const [{ begun }] = (await slow.query('SELECT now() AS begun')).rows
  await insertRawEvents(slow, [newEvent({ partition: 1 })])
  const [next] = await accept(1, 1)
  // Old enough soon, but never for one that began with the INSERT.
  await db.query(`UPDATE raw_events SET accepted_at = $1::timestamptz - interval '9.9 s'`, [begun])
  await until('its time has come', async () => {
    const { rows } = await db.query(`SELECT now() > $1::timestamptz + interval '0.2 s' AS come`, [begun])
    return rows[0].come
  })
  expect(await readFinalSeqs(db, [1])).toEqual([0])
  await slow.query('COMMIT')
  slow.release()
  expect(await readFinalSeqs(db, [1])).toEqual([next!.seq])
  await ingest.end()
})

test('no event is final while ingest has written under a role whose transactions cannot be seen', async () => {
  const blind = `blind_${new URL(url).pathname.slice(1)}`
  await administer(`CREATE ROLE ${blind} LOGIN PASSWORD 'x'; GRANT SELECT ON raw_events TO ${blind}`, url)
  const worker = connect({
    ...{ url: Object.assign(new URL(url), { username: blind, password: 'x' }).href, applicationName: 'worker' },
    ...{ max: 1, onIdleError: () => {} },
  })
  const [old] = await accept(1, 1)
  await db.query(`UPDATE raw_events SET accepted_at = now() - interval '1 minute'`)
  const ingest = connect({ url, applicationName: INGEST_APPLICATION, max: 1, onIdleError: () => {} })
  const slow = await ingest.connect()
  await slow.query('BEGIN')
  await insertRawEvents(slow, [newEvent({ partition: 1 })])
  expect(await readFinalSeqs(worker, [1])).toEqual([0])
  expect(await readFinalSeqs(db, [1])).toEqual([old!.seq])
  await slow.query('COMMIT')
  expect(await readFinalSeqs(worker, [1])).toEqual([old!.seq])
  slow.release()
  await Promise.all([ingest.end(), worker.end()])
})

test('a long-running reader, for example a frozen one, keeps no event from being final', async () => {
  const ingest = connect({ url, applicationName: INGEST_APPLICATION, max: 1, onIdleError: () => {} })
  const reader = await ingest.connect()
  await reader.query('BEGIN')
  const [{ begun }] = (await reader.query('SELECT now() AS begun')).rows
  const [old] = await accept(1, 1)
  await db.query(`UPDATE raw_events SET accepted_at = $1::timestamptz - interval '9.9 s'`, [begun])
  await until('it is final', async () => (await readFinalSeqs(db, [1]))[0] === old!.seq, 2_000)
  reader.release(true)
  await ingest.end()
})

test('a suspect is counted before it runs, by the owner of its partition only', async () => {
  const [event] = await accept(1, 5)
  const [lease] = await takePartitions(db, 'a', [5], { reclaim: true, leaseMs: 10_000 })
  const suspect = { ...firstDelivery(event!, '{}', []), crashes: 1 }
  const held = { ...lease!, dirty: 0 as const }
  expect(await recordSuspects(db, [suspect], held)).toBe(true)
  expect(await recordSuspects(db, [{ ...suspect, crashes: 2 }], { ...held, epoch: held.epoch - 1 })).toBe(false)
  expect(await readRetries(db, 5, { after: 0, limit: 10 })).toMatchObject([
    { event: { id: event!.id }, crashes: 1, attempts: 0 },
  ])
  // An earlier event of its key may exist only in Postgres: an event from the stream must not enter `retries` before
  // it.
  await markDirty(db, [5])
  expect(await recordSuspects(db, [{ ...suspect, crashes: 2 }], held)).toBe(false)
  expect(await readRetries(db, 5, { after: 0, limit: 10 })).toMatchObject([{ crashes: 1 }])
  expect(await recordSuspects(db, [{ ...suspect, crashes: 2 }], { ...held, dirty: null })).toBe(true)
  expect(await readRetries(db, 5, { after: 0, limit: 10 })).toMatchObject([{ crashes: 2 }])
})

test('survived suspects get the given number of crashes; one that was counted again meanwhile keeps its own', async () => {
  const events = await accept(3, 6)
  const [lease] = await takePartitions(db, 'a', [6], { reclaim: true, leaseMs: 10_000 })
  const suspects = events.map((event) => ({ ...firstDelivery(event, '{}', []), crashes: 3 }))
  expect(await recordSuspects(db, suspects, { ...lease!, dirty: null })).toBe(true)
  expect(await recordSuspects(db, [{ ...suspects[2]!, crashes: 4 }], { ...lease!, dirty: null })).toBe(true)
  await takeBackSuspicion(
    db,
    suspects.map((delivery, n) => ({ delivery, before: [0, 2, 0][n]! })),
  )
  const waiting = await readRetries(db, 6, { after: 0, limit: 10 })
  expect(waiting.map(({ crashes }) => crashes)).toEqual([0, 2, 4])
})
