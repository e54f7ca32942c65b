/** The backlog according to Postgres, found without reading every event. */
import { connect, countOpenDeadLetters, type Db, type PartitionBacklog, readBacklog } from '@eventflow/db'
import { acceptEvents, administer, createDatabase, newEvent } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 4, onIdleError: () => {} })
})

beforeEach(async () => {
  await administer(
    'TRUNCATE event_ids, raw_events, processed_events, failed_events, retries',
    db.options.connectionString!,
  )
  await db.query('UPDATE partitions SET settled_seq = 0')
})

afterAll(() => db.end())

/**
 * Accepts events of partition 3, the first one `count` seconds ago and the last one a second ago. Returns their seqs.
 */
async function accept(count: number): Promise<number[]> {
  const events = Array.from({ length: count }, () => newEvent({ partition: 3 }))
  const seqs = (await acceptEvents(db, events)).map(({ seq }) => seq)
  await db.query(`UPDATE raw_events SET accepted_at = now() - ($1 - seq) * interval '1 s' WHERE seq >= $2`, [
    seqs.at(-1)! + 1,
    seqs[0],
  ])
  return seqs
}

const process = (seqs: readonly number[]) =>
  db.query(
    `INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id,
                                   correlation_id, accepted_at, processing_ms)
     SELECT tenant_id, event_id, seq, type, key, partition, payload, 1, 'w', correlation_id, accepted_at, 1
     FROM raw_events WHERE seq = ANY($1)`,
    [seqs],
  )

const bury = (seq: number, status: string) =>
  db.query(
    `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class, message,
                                errors, component, worker_id, attempts, history, correlation_id, accepted_at, status)
     SELECT tenant_id, event_id, seq, type, key, partition, payload, 'permanent', 'E', 'm', '[]', 'c', 'w', 1, '[]',
            correlation_id, accepted_at, $2
     FROM raw_events WHERE seq = $1`,
    [seq, status],
  )

const retry = (seq: number, history: object[]) =>
  db.query(
    `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at, history)
     SELECT tenant_id, event_id, seq, partition, 1, now(), $2 FROM raw_events WHERE seq = $1`,
    [seq, JSON.stringify(history)],
  )

const watermark = (seq: number) => db.query('UPDATE partitions SET settled_seq = $1 WHERE id = 3', [seq])

/** The backlog of partition 3; the others have none. */
async function backlog(): Promise<Partial<PartitionBacklog>> {
  const all = await readBacklog(db)
  expect(all.map(({ partition }) => partition)).toEqual(Array.from({ length: 16 }, (_, id) => id))
  for (const { partition, unsettled, retrying, oldestAgeSeconds } of all) {
    if (partition !== 3)
      expect({ unsettled, retrying, oldestAgeSeconds }).toEqual({ unsettled: 0, retrying: 0, oldestAgeSeconds: 0 })
  }
  const { unsettled, retrying, oldestAgeSeconds } = all[3]!
  return { unsettled, retrying, oldestAgeSeconds: Math.floor(oldestAgeSeconds) }
}

const NOTHING = { unsettled: 0, retrying: 0, oldestAgeSeconds: 0 }

test('is empty where nothing was accepted, and where everything is settled', async () => {
  expect(await backlog()).toEqual(NOTHING)
  const seqs = await accept(300)
  await process(seqs.slice(2))
  await bury(seqs[0]!, 'open')
  await bury(seqs[1]!, 'discarded')
  expect(await backlog()).toEqual(NOTHING)
})

test.each([1, 2, 99, 100, 101, 150, 299, 300])(
  'begins at the border, wherever that is: the last %d of 300',
  async (open) => {
    const seqs = await accept(300)
    await process(seqs.slice(0, 300 - open))
    expect(await backlog()).toEqual({ unsettled: open, retrying: 0, oldestAgeSeconds: open })
    await watermark(seqs[299 - open] ?? 0)
    expect(await backlog()).toEqual({ unsettled: open, retrying: 0, oldestAgeSeconds: open })
  },
)

test('begins with a blocked event among settled ones, above the watermark', async () => {
  const seqs = await accept(300)
  await process(seqs.filter((_, i) => i !== 20 && i !== 30))
  expect(await backlog()).toEqual({ unsettled: 2, retrying: 0, oldestAgeSeconds: 280 })
  await process([seqs[20]!])
  expect(await backlog()).toEqual({ unsettled: 1, retrying: 0, oldestAgeSeconds: 270 })
})

test('includes events in retries, since they were accepted or replayed', async () => {
  const seqs = await accept(300)
  await process(seqs.slice(3))
  await retry(seqs[0]!, [
    { attempt: 0, at: new Date(Date.now() - 40_500).toISOString() },
    { attempt: 1, at: new Date() },
  ])
  await bury(seqs[1]!, 'replaying')
  await retry(seqs[1]!, [{ attempt: 0, at: new Date(Date.now() - 60_500).toISOString() }])
  await retry(seqs[2]!, [{ attempt: 1, at: new Date() }])
  expect(await backlog()).toEqual({ unsettled: 0, retrying: 3, oldestAgeSeconds: 298 })
  await process([seqs[2]!])
  await db.query('DELETE FROM retries WHERE attempts = 1 AND event_id IN (SELECT event_id FROM processed_events)')
  expect(await backlog()).toEqual({ unsettled: 0, retrying: 2, oldestAgeSeconds: 60 })
})

test('is estimated where it is large', async () => {
  const seqs = [...(await accept(1_000)), ...(await accept(4_000))]
  await process(seqs.slice(0, 500))
  const { unsettled } = await backlog()
  expect(unsettled).toBeGreaterThan(4_400)
  expect(unsettled).toBeLessThan(4_600)
})

test('dead letters are counted while they are open, by type', async () => {
  const seqs = await accept(5)
  for (const status of ['discarded', 'replaying', 'open']) await bury(seqs.shift()!, status)
  await bury(seqs.shift()!, 'open')
  expect(await countOpenDeadLetters(db)).toEqual([{ type: 'test.done', count: 2 }])
})
