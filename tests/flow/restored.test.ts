/** Postgres has forgotten events that it once had, and assigns their seqs again: no new event may be lost by that. */
import { randomUUID } from 'node:crypto'
import { CONSUMER_GROUP, partitionOf } from '@eventflow/core'
import { readEntryKey, renewIncarnation } from '@eventflow/db'
import { streamKey } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import { administer, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const type = 'restore.survived'
const key = 'k'

let pipeline: TestPipeline

beforeEach(async () => {
  pipeline = await startPipeline([defineEvent({ type, schema: Type.Object({ n: Type.Integer() }) })])
})

afterEach(() => pipeline.stop())

const event = (n: number) => ({ id: randomUUID(), type, partitionkey: key, data: { n } })

/** A worker that owns all partitions and reads their streams. */
async function reading() {
  const worker = await pipeline.startWorker()
  await until('it reads the streams', async () => {
    const { rows } = await pipeline.db.query(
      'SELECT FROM partitions WHERE owner IS NOT NULL AND redis_run_id IS NOT NULL',
    )
    return rows.length === pipeline.partitions
  })
  return worker
}

/** The numbers of the processed events, in the order of acceptance. */
async function processed(): Promise<number[]> {
  await pipeline.drained()
  const { rows } = await pipeline.db.query(`SELECT (payload->>'n')::integer AS n FROM processed_events ORDER BY seq`)
  return rows.map(({ n }) => n)
}

/** Postgres forgets the last `count` events, as after a restore of a copy of its files. */
async function forget(count: number): Promise<void> {
  const { rows } = await pipeline.db.query(
    `WITH gone AS (DELETE FROM raw_events WHERE seq IN (SELECT seq FROM raw_events ORDER BY seq DESC LIMIT $1) RETURNING seq),
          ids AS (DELETE FROM event_ids WHERE seq IN (SELECT seq FROM gone))
     SELECT min(seq) AS first FROM gone`,
    [count],
  )
  await administer(`SELECT setval('event_seq', ${rows[0].first}, false)`, pipeline.databaseUrl)
}

test('an entry with a seq that was not assigned since is removed, and the event that gets the seq is processed', async () => {
  await (await reading()).stop()
  await pipeline.send([event(1), event(2)])
  await forget(1)
  const { metrics } = await pipeline.startWorker()
  await until('the entry is gone', async () => ((await metrics.foreignEntries.get()).values[0]?.value ?? 0) === 1)
  await pipeline.send([event(3)])
  expect(await processed()).toEqual([1, 3])
})

test('so is a pending entry, which the last owner had read', async () => {
  await (await reading()).stop()
  await pipeline.send([event(1)])
  const stream = streamKey(pipeline.prefix, partitionOf('default', key, pipeline.partitions))
  await pipeline.redis.xreadgroup('GROUP', CONSUMER_GROUP, 'dead', 'STREAMS', stream, '>')
  await forget(1)
  await pipeline.startWorker()
  await pipeline.streamsEmpty()
  await pipeline.send([event(2)])
  expect(await processed()).toEqual([2])
})

test('after a new incarnation, entries from before it have no effect, though their seqs were assigned again', async () => {
  await (await reading()).stop()
  await pipeline.send([event(1), event(2)])
  await forget(2)
  const before = await readEntryKey(pipeline.db)
  expect(await renewIncarnation(pipeline.db, { known: true })).toBe(true)
  const after = await readEntryKey(pipeline.db)
  expect(after.incarnation).toBe(before.incarnation + 1)
  expect(after.secret).not.toEqual(before.secret)
  await pipeline.send([event(3), event(4)])
  await pipeline.startWorker()
  expect(await processed()).toEqual([3, 4])
})

test('a server on another timeline settles nothing until a new incarnation has begun, and then everything', async () => {
  await reading()
  await pipeline.send([event(1)])
  expect(await processed()).toEqual([1])
  await pipeline.db.query(`UPDATE ledger SET timeline = 'FFFFFFFF'`)
  const first = (await readEntryKey(pipeline.db)).incarnation
  await pipeline.send([event(2), event(3)])
  await until('a new incarnation has begun', async () => (await readEntryKey(pipeline.db)).incarnation > first)
  expect(await processed()).toEqual([1, 2, 3])
  await pipeline.send([event(4)])
  expect(await processed()).toEqual([1, 2, 3, 4])
  expect((await readEntryKey(pipeline.db)).incarnation).toBe(first + 1)
})

test('a dump that was restored into another database begins a new incarnation', async () => {
  await pipeline.db.query(`UPDATE ledger SET identity = 'another server/16384'`)
  const first = (await readEntryKey(pipeline.db)).incarnation
  await pipeline.startWorker()
  await pipeline.send([event(1)])
  expect(await processed()).toEqual([1])
  expect((await readEntryKey(pipeline.db)).incarnation).toBe(first + 1)
})

test('an event that was stored in an earlier incarnation is not sealed with the secret of the current one', async () => {
  await administer(
    `CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN WHILE NOT pg_try_advisory_xact_lock(1) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END $$;
     CREATE TRIGGER hold_up BEFORE INSERT ON raw_events FOR EACH ROW WHEN (NEW.payload->>'n' = '1') EXECUTE FUNCTION hold_up()`,
    pipeline.databaseUrl,
  )
  const holder = await pipeline.db.connect()
  let sent: Promise<unknown> | undefined
  try {
    await holder.query('BEGIN; SELECT pg_advisory_xact_lock(1)')
    sent = pipeline.send([event(1)])
    await until('it is being stored', async () => {
      const { rowCount } = await holder.query(
        `SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()`,
      )
      return rowCount! > 0
    })
    await renewIncarnation(pipeline.db, { known: true })
    // A large request is stored beside it, and the service gets to know the new secret.
    await pipeline.send(Array.from({ length: 100 }, (_, n) => event(n + 2)))
  } finally {
    await holder.query('COMMIT')
    holder.release()
    await sent
  }
  const { rows } = await pipeline.db.query('SELECT dirty FROM partition_marks WHERE dirty > 0')
  expect(rows).toEqual([{ dirty: 1 }])
})
