/** Retention while the pipeline runs: what is replayed, settled and read at the same moment. */
import { insertRawEvents, migrate, readBuckets, turnBucket } from '@eventflow/db'
import { removeOld } from '@eventflow/engine'
import { createPublisher } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import {
  administer,
  createDatabase,
  findStored,
  newEvent,
  startPipeline,
  turnEnds,
  until,
  whileHeldUp,
} from '@eventflow/testkit'
import { describe, expect, test } from '@jest/globals'
import { ALL, base, db, idOf, old, parts, range, round, settle, store, tables, url, useLedger } from './old-parts.js'

useLedger()

const never = new AbortController().signal

describe('while the pipeline runs', () => {
  /** Uses the first part of the test as a long statement does, while `work` runs. */
  async function whileRead(work: () => Promise<void>): Promise<void> {
    const reader = await db.connect()
    try {
      await reader.query('BEGIN')
      await reader.query('SELECT count(*) FROM raw_events WHERE seq = $1', [base])
      await work()
    } finally {
      await reader.query('COMMIT')
      reader.release()
    }
  }
  const emptyingWaits = () =>
    until('it waits for a lock', async () => {
      const { rowCount } = await db.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'eventflow-upkeep' AND wait_event_type = 'Lock' AND datname = current_database()`,
      )
      return rowCount! > 0
    })

  test('an event that is replayed while the part is about to be emptied is kept', async () => {
    await store(old(1, 5), ALL, 10)
    let emptied: ReturnType<typeof round> | undefined
    await whileRead(async () => {
      emptied = round({ settledDays: 1 })
      await emptyingWaits()
      await db.query(
        `WITH gone AS (DELETE FROM processed_events WHERE seq = $1 RETURNING *)
         INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
         SELECT tenant_id, event_id, seq, partition, 0, now() FROM gone`,
        [base + 2],
      )
    })
    expect((await emptied!).told).toEqual(['1-5: emptied'])
    expect(await tables()).toMatchObject({ raw: [3], processed: [] })
  })

  test('the new result of an event that was replayed and processed meanwhile is kept', async () => {
    await store(old(1, 5), ALL, 10)
    let emptied: ReturnType<typeof round> | undefined
    await whileRead(async () => {
      emptied = round({ settledDays: 1 })
      await emptyingWaits()
      await db.query('DELETE FROM processed_events WHERE seq = $1', [base + 2])
      await settle(3)
    })
    await emptied
    expect(await tables()).toMatchObject({ raw: [3], processed: [3] })
  })

  test('a part that is read all the time is tried again in the next round, and others read it meanwhile', async () => {
    await store(old(1, 5), ALL, 10)
    await whileRead(async () => {
      const emptied = round({ settledDays: 1 })
      await emptyingWaits()
      const startedAt = performance.now()
      expect((await tables()).raw).toEqual(range(1, 5))
      expect(performance.now() - startedAt).toBeLessThan(1_000)
      expect((await emptied).told).toEqual(['1-5: locked'])
    })
    expect((await round({ settledDays: 1 })).told).toEqual(['1-5: emptied', '1-5: dropped'])
  })

  test('an event that has its seq but is not stored yet keeps its part', async () => {
    await store(old(1, 4), ALL, 4)
    // Drops the parts of earlier tests, so that this one is the oldest.
    await round({ settledDays: 1 })
    // Ids are claimed in their order, the second event's first.
    const [second, first] = [newEvent({ id: idOf(100) }), newEvent({ id: idOf(101) })]
    const rival = await db.connect()
    let accepted: ReturnType<typeof insertRawEvents> | undefined
    try {
      await rival.query('BEGIN')
      await rival.query(`INSERT INTO event_ids SELECT $1, $2, bucket, $3, 0 FROM ledger`, [
        second.tenantId,
        second.id,
        base,
      ])
      // It has drawn 5 and 6, the second of which is in the next part, and waits for the id of the rival.
      accepted = insertRawEvents(db, [first, second])
      await until('the seqs are assigned', async () => {
        const { rows } = await db.query('SELECT last_value FROM event_seq')
        return rows[0].last_value === base + 5
      })
      await round({ settledDays: 1 })
    } finally {
      await rival.query('ROLLBACK')
      rival.release()
    }
    expect((await accepted!).acceptances.size).toBe(2)
    await round({ settledDays: 1 })
    expect((await tables()).raw).toEqual([5, 6])
  })

  test('an event of a dropped part that is settled late is skipped', async () => {
    await store(old(1, 5), ALL, 10)
    await round({ settledDays: 1 })
    expect(await settle(3)).toEqual({ broken: new Set(), inserted: new Set() })
  })

  test('a drop that was interrupted is completed by the next round', async () => {
    await store([], ALL, 10)
    await whileRead(async () => {
      await db.query('UPDATE ledger SET first_seq = $1', [base + 5])
      expect((await round({ settledDays: 1 })).told).toEqual([])
      expect((await db.query('SELECT FROM pg_inherits WHERE inhdetachpending')).rowCount).toBe(1)
    })
    expect((await round({ settledDays: 1 })).told).toEqual(['1-5: dropped'])
    expect((await parts())[0]).toBe('6-10')
  })
})

test('a worker removes what is older than its settings say', async () => {
  const pipeline = await startPipeline([], { DATABASE_URL: url, EVENTFLOW_RETENTION_SETTLED_DAYS: '30' })
  try {
    await store(
      [...old(1, 4), { seq: 5, partition: 0, accepted: 40, failed: { age: 40, status: 'open' } }, ...old(6, 8)],
      ALL,
    )
    await pipeline.startWorker()
    await until('the old events are gone', async () => (await tables()).raw.length === 4)
    expect((await tables()).raw).toEqual([5, 6, 7, 8])
  } finally {
    await pipeline.stop()
  }
})

test('a worker that stops gives its partitions back although it is emptying a part', async () => {
  const pipeline = await startPipeline([], { DATABASE_URL: url, EVENTFLOW_RETENTION_SETTLED_DAYS: '30' })
  const hasPartitions = async () => (await db.query(`SELECT FROM partitions WHERE owner = 'stops'`)).rowCount! > 0
  await store(old(1, 5), ALL, 10)
  const held = { db, url, table: 'ledger_parts', statement: 'UPDATE ledger_parts SET looked_at' } as const
  let stopping: Promise<void> | undefined
  try {
    await whileHeldUp(
      held,
      () => pipeline.startWorker('stops'),
      async (started) => {
        const worker = await started
        await until('it has partitions', hasPartitions)
        stopping = worker.stop()
        await until('they are free', async () => !(await hasPartitions()))
        expect(await Promise.race([stopping, 'emptying'])).toBe('emptying')
      },
    )
    await stopping
  } finally {
    await pipeline.stop()
  }
})

test('a stream entry of a removed event has no effect; its id is known until its bucket is dropped', async () => {
  const step = defineEvent({
    type: 'step.done',
    schema: Type.Object({ n: Type.Integer() }),
    handle: async ({ data }, tx) => {
      await tx.query('INSERT INTO effects (n) VALUES ($1)', [data.n])
    },
    prepare: async (tx) => {
      await tx.query('CREATE TABLE effects (n integer)')
    },
  })
  const ownUrl = await createDatabase({ migrated: false })
  await migrate(ownUrl, { partitions: 4, partEvents: 10 })
  const pipeline = await startPipeline([step], { DATABASE_URL: ownUrl })
  try {
    await pipeline.startWorker()
    await until('the partitions are read from their streams', async () => {
      const { rowCount } = await pipeline.db.query('SELECT FROM partitions WHERE redis_run_id IS NULL')
      return rowCount === 0
    })
    const event = { type: 'step.done', id: idOf(1), data: { n: 1 } }
    await pipeline.send([event])
    await pipeline.drained()
    const stored = await findStored(pipeline.db, [{ tenantId: 'default', id: idOf(1) }])
    await pipeline.db.query(`UPDATE raw_events SET accepted_at = now() - interval '9 days'`)
    await pipeline.db.query(`UPDATE processed_events SET processed_at = now() - interval '9 days'`)
    await administer(`SELECT setval('event_seq', 10)`, pipeline.databaseUrl)
    const ledger = { db: pipeline.db, url: pipeline.databaseUrl }
    const rules = { settledDays: 7, deadDays: 0, archivedOnly: false }
    const told: string[] = []
    await until('its part is dropped', async () => {
      await removeOld(ledger, rules, never, { told: ({ what }) => told.push(what) })
      return told.includes('dropped')
    })

    const removed = [...stored.values()][0]!.event
    await createPublisher(pipeline.redis, pipeline.prefix, pipeline.seal, 1_000).publish([removed])
    await pipeline.streamsEmpty()
    const effects = async () => (await pipeline.db.query('SELECT FROM effects')).rowCount
    expect(await effects()).toBe(1)

    expect(await pipeline.send([event])).toMatchObject({ accepted: 0, duplicate: 1 })
    const turn = async () => {
      await turnBucket(pipeline.databaseUrl, (await readBuckets(pipeline.db))!)
      await turnEnds(pipeline.db)
    }
    await turn()
    expect(await pipeline.send([event])).toMatchObject({ accepted: 0, duplicate: 1 })
    await turn()
    expect(await pipeline.send([event])).toMatchObject({ accepted: 1, duplicate: 0 })
    await pipeline.drained()
    expect(await effects()).toBe(2)
  } finally {
    await pipeline.stop()
  }
})
