/** Retention and the log: where the log begins, and entries of events that are replayed meanwhile. */
import { createOperation, endWaiting, operateOnPart, withTransaction } from '@eventflow/db'
import { until } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'
import { ALL, base, db, idOf, old, round, settle, store, tables, useLedger } from './old-parts.js'

useLedger()

/** Gives the stored events positions in the order of their seqs, and begins the log anew. */
async function number() {
  await db.query('UPDATE processed_events SET position = $1 + seq', [POSITIONS])
  await db.query('UPDATE log_starts SET low_position = 0')
  await db.query('DELETE FROM log_replaying')
}

const POSITIONS = 10_000

/** Where the log of each partition begins, as the event of the test whose position it is; 0 for the beginning. */
async function starts(): Promise<number[]> {
  const { rows } = await db.query('SELECT low_position AS low FROM log_starts ORDER BY partition')
  return rows.map(({ low }) => (low === 0 ? 0 : low - POSITIONS - base + 1))
}

const replaying = async () => (await db.query('SELECT seq FROM log_replaying')).rows.map(({ seq }) => seq - base + 1)

async function replay(n: number): Promise<void> {
  const seq = base - 1 + n
  const selection = { kind: 'replay-processed' as const, tenantId: 'default', filter: { ids: [idOf(n)] } }
  const asked = { ...selection, rate: 100, schemaVersion: null, reason: null, requestedBy: 'ada' }
  const operation = await createOperation(db, asked, { count: 1, first: seq, last: seq })
  const part = { operationId: operation.id, after: 0, until: seq, limit: 10, requestedBy: 'ada', reason: null }
  await withTransaction(db, async (tx) => {
    expect(await operateOnPart(tx, selection, part)).toMatchObject({ changed: 1 })
    // As a step of an operation records it.
    await tx.query('UPDATE operations SET after_seq = $2, done = 1 WHERE id = $1', [operation.id, seq])
  })
}

async function processAgain(n: number): Promise<void> {
  await settle(n)
  await endWaiting(db, [{ seq: base - 1 + n }])
}

/** Runs a round; `during` happens between its scan of the part and its lock. */
async function roundDuring(during: () => Promise<void>): Promise<string[]> {
  const reader = await db.connect()
  let emptied: ReturnType<typeof round>
  try {
    await reader.query('BEGIN')
    await reader.query('SELECT count(*) FROM raw_events WHERE seq = $1', [base])
    emptied = round({ settledDays: 1 })
    await until('emptying waits for the reader', async () => {
      const { rowCount } = await db.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'eventflow-upkeep' AND wait_event_type = 'Lock' AND datname = current_database()`,
      )
      return rowCount! > 0
    })
    await during()
  } finally {
    await reader.query('COMMIT')
    reader.release()
  }
  return (await emptied).told
}

test('the log of each partition begins after the highest position that was removed; kept events do not count', async () => {
  const letter = { failed: { age: 1, status: 'replayed', resolved: 1 } } as const
  const [, , , , fifth] = old(1, 5)
  // Of partition 0 are 3, 6 and 9, of partition 1: 1, 4, 7 and 10, of partition 2: 2, 5 and 8.
  await store([...old(1, 4), { ...fifth!, ...letter }, ...old(6, 10)], ALL, 14)
  await number()
  expect((await round({ settledDays: 10 })).told).toEqual(['1-5: emptied', '6-10: emptied'])
  expect((await tables()).processed).toEqual([5])
  expect(await starts()).toEqual([9, 10, 8])

  await db.query('UPDATE ledger_parts SET looked_at = NULL')
  await db.query('DELETE FROM failed_events')
  await round({ settledDays: 10 })
  // The fifth has gone, too, and the log began later already.
  expect([await starts(), (await tables()).processed]).toEqual([[9, 10, 8], []])
})

test('a partition of which all is kept has its log as before', async () => {
  const kept = { failed: { age: 1, status: 'replayed', resolved: 1 } } as const
  await store(
    old(1, 5).map((event) => (event.partition === 1 ? { ...event, ...kept } : event)),
    ALL,
    5,
  )
  await number()
  await round({ settledDays: 10 })
  expect((await tables()).processed).toEqual([1, 4])
  expect(await starts()).toEqual([3, 0, 5])
})

test('events from before there were positions do not move the beginning', async () => {
  await store(old(1, 5), ALL, 10)
  await number()
  await db.query('UPDATE processed_events SET position = NULL')
  await round({ settledDays: 1 })
  expect([await starts(), (await tables()).raw]).toEqual([[0, 0, 0], []])
})

test('an event that is being replayed keeps its entry', async () => {
  await store(old(1, 5), ALL, 10)
  await number()
  await replay(3)
  expect((await round({ settledDays: 1 })).told).toEqual(['1-5: emptied'])
  expect([await replaying(), await starts()]).toEqual([[3], [0, 4, 5]])
  await processAgain(3)
  expect([await replaying(), (await tables()).processed]).toEqual([[], [3]])
})

test('an event that is replayed during the scan, and still is when the part is locked, does not hold it up', async () => {
  await store(old(1, 5), ALL, 10)
  await number()
  expect(await roundDuring(() => replay(3))).toEqual(['1-5: emptied'])
  expect([await replaying(), (await tables()).raw]).toEqual([[3], [3]])
})

test('an entry goes with its event', async () => {
  await store(old(1, 5), ALL, 10)
  await number()
  await replay(3)
  // The row of a worker of an earlier version, which leaves the entry.
  await settle(3)
  await db.query(`UPDATE processed_events SET processed_at = now() - interval '50 days'`)
  await db.query('DELETE FROM retries')
  await round({ settledDays: 1 })
  expect([await replaying(), (await tables()).raw]).toEqual([[], []])
})

test.each([
  ['during the scan', async () => {}, () => replay(3)],
  ['before the scan', () => replay(3), async () => {}],
])('an event that is replayed %s, and processed before the part is locked, is kept', async (_, before, during) => {
  // So that the replayed event has not the last position of its partition.
  await store(
    old(1, 5).map((event) => ({ ...event, partition: 0 })),
    ALL,
    10,
  )
  await number()
  await before()
  await roundDuring(async () => {
    await during()
    await processAgain(3)
  })
  await round({ settledDays: 1 })
  expect(await tables()).toMatchObject({ raw: [3], processed: [3] })
})

test('events are kept that a consumer group has parked, or as long as it has a dead letter of them', async () => {
  await store(old(1, 5), ALL, 10)
  await number()
  await db.query(`INSERT INTO consumer_groups (tenant_id, name, kind) VALUES ('default', 'a', 'consumer')`)
  const group = '(SELECT group_id FROM consumer_groups)'
  await db.query(
    `INSERT INTO group_parked (group_id, seq, partition, position, tenant_id)
     SELECT ${group}, seq, partition, position, tenant_id FROM processed_events WHERE seq = $1`,
    [base + 1],
  )
  await db.query(
    `INSERT INTO group_dead_letters (group_id, seq, partition, position, tenant_id, event_id, type, key, payload,
       failure_type, error_class, message, errors, component, attempts, history, worker_id, correlation_id, accepted_at, status)
     SELECT ${group}, seq, partition, position, tenant_id, event_id, type, key, payload::json, 'permanent', 'E', '', '[]',
            'handle', 1, '[]', 'a', correlation_id, accepted_at, CASE seq WHEN $1 THEN 'open' ELSE 'discarded' END
     FROM processed_events WHERE seq IN ($1, $2)`,
    [base + 2, base + 3],
  )
  await round({ settledDays: 1 })
  expect(await tables()).toMatchObject({ raw: [2, 3], processed: [2, 3] })
  await db.query('DELETE FROM consumer_groups')
})
