/** Retention removes only events settled long ago: never an unsettled one, and never twice at once. */

import {
  ADVISORY_LOCKS,
  addSchemaVersion,
  connect,
  type Db,
  prepare,
  removeDeadLetters,
  removeProcessed,
} from '@eventflow/db'
import { removeOld } from '@eventflow/engine'
import { createPublisher } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import { administer, createDatabase, findStored, startPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

let db: Db

beforeAll(async () => {
  db = connect({ url: await createDatabase(), applicationName: 'test', max: 5, onIdleError: () => {} })
})

beforeEach(clear)

afterAll(() => db.end())

async function clear() {
  await administer('TRUNCATE raw_events, processed_events, failed_events, retries', db.options.connectionString!)
  await db.query('UPDATE partitions SET settled_seq = 0')
}

/** An event as stored in the tables; ages in days. A missing field means that it has not happened. */
interface Stored {
  seq: number
  partition: number
  accepted: number
  processed?: number
  failed?: { age: number; status: 'open' | 'replaying' | 'replayed' | 'discarded'; resolved?: number }
  waits?: boolean
}

const idOf = (seq: number) => `00000000-0000-7000-8000-${String(seq).padStart(12, '0')}`
const ago = (days: number | undefined) =>
  days === undefined ? null : new Date(Date.now() - days * 86_400_000 - 1_000).toISOString()

async function store(events: readonly Stored[], settledSeqs: Record<number, number>, into = db) {
  for (const { seq, partition, accepted, processed, failed, waits } of events) {
    const event = [idOf(seq), seq, partition, ago(accepted)]
    await into.query(
      `INSERT INTO raw_events (tenant_id, event_id, seq, type, source, key, partition, occurred_at, accepted_at,
                               correlation_id, payload)
       VALUES ('default', $1, $2, 't', '/', 'k', $3, $4, $4, 'c', '{}')`,
      event,
    )
    if (processed !== undefined) {
      await into.query(
        `INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id,
                                       correlation_id, accepted_at, processed_at, processing_ms)
         VALUES ('default', $1, $2, 't', 'k', $3, '{}', 1, 'w', 'c', $4, $5, 1)`,
        [...event, ago(processed)],
      )
    }
    if (failed) {
      await into.query(
        `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class,
                                    message, errors, component, worker_id, attempts, history, correlation_id, accepted_at,
                                    failed_at, status, resolved_at)
         VALUES ('default', $1, $2, 't', 'k', $3, '{}', 'permanent', 'E', 'm', '[]', 'handle', 'w', 1, '[]', 'c', $4,
                 $5, $6, $7)`,
        [...event, ago(failed.age), failed.status, ago(failed.resolved)],
      )
    }
    if (waits) {
      await into.query(
        `INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at) VALUES ('default', $1, $2, 1, now())`,
        [idOf(seq), partition],
      )
    }
  }
  for (const [partition, seq] of Object.entries(settledSeqs)) {
    await into.query('UPDATE partitions SET settled_seq = $2 WHERE id = $1', [partition, seq])
  }
}

const seqsIn = async (table: string) =>
  (await db.query(`SELECT seq FROM ${table} ORDER BY seq`)).rows.map((row) => row.seq as number)

const tables = async () => ({
  raw: await seqsIn('raw_events'),
  processed: await seqsIn('processed_events'),
  failed: await seqsIn('failed_events'),
})

const never = new AbortController().signal

const LONG_AGO = 50

describe('retention removes', () => {
  const all = { 0: 1_000 }

  test('events processed longer ago than their age limit, with their raw events', async () => {
    const events = [12, 11, 10, 9, 8].map((age, i) => ({ seq: i + 1, partition: 0, accepted: 20, processed: age }))
    await store(events, all)
    expect(await removeOld(db, { settledDays: 10, deadDays: 0 }, never)).toEqual({ processed: 3, dead: 0 })
    expect(await tables()).toEqual({ raw: [4, 5], processed: [4, 5], failed: [] })
  })

  test('nothing if both age limits are 0, however old it is', async () => {
    await store([{ seq: 1, partition: 0, accepted: 9_000, processed: 9_000 }], all)
    await store([{ seq: 2, partition: 0, accepted: 9_000, failed: { age: 9_000, status: 'open' } }], all)
    expect(await removeOld(db, { settledDays: 0, deadDays: 0 }, never)).toEqual({ processed: 0, dead: 0 })
    expect((await tables()).raw).toEqual([1, 2])
  })

  test('nothing above the watermark of its partition', async () => {
    const events = [1, 2, 3, 4].map((seq) => ({ seq, partition: seq % 2, accepted: LONG_AGO, processed: LONG_AGO }))
    await store(events, { 0: 2, 1: 1 })
    expect(await removeOld(db, { settledDays: 1, deadDays: 1 }, never)).toEqual({ processed: 2, dead: 0 })
    expect((await tables()).raw).toEqual([3, 4])
  })

  test('dead letters by their own age limit, counted from the last decision', async () => {
    const at = (seq: number, failed: Stored['failed']): Stored => ({
      ...{ seq, partition: 0, accepted: LONG_AGO },
      ...(failed && { failed }),
    })
    await store(
      [
        at(1, { age: LONG_AGO, status: 'open' }),
        at(2, { age: 5, status: 'open' }),
        at(3, { age: LONG_AGO, status: 'discarded', resolved: LONG_AGO }),
        at(4, { age: LONG_AGO, status: 'discarded', resolved: 5 }),
        { ...at(5, { age: LONG_AGO, status: 'replaying' }), waits: true },
        { ...at(6, { age: LONG_AGO, status: 'replayed', resolved: LONG_AGO }), processed: LONG_AGO },
        { ...at(7, { age: LONG_AGO, status: 'replayed', resolved: 5 }), processed: 5 },
      ],
      all,
    )
    expect(await removeOld(db, { settledDays: 0, deadDays: 10 }, never)).toEqual({ processed: 0, dead: 3 })
    expect(await tables()).toEqual({ raw: [2, 4, 5, 6, 7], processed: [6, 7], failed: [2, 4, 5, 7] })
    expect(await removeOld(db, { settledDays: 10, deadDays: 0 }, never)).toEqual({ processed: 1, dead: 0 })
    expect(await tables()).toEqual({ raw: [2, 4, 5, 7], processed: [7], failed: [2, 4, 5, 7] })
  })
})

describe('removing', () => {
  const old = [1, 2, 3, 4, 5].map((seq) => ({ seq, partition: 3, accepted: LONG_AGO, processed: LONG_AGO }))

  test('goes by chunks, the oldest first, and stops at the first event that is too young', async () => {
    const young = { seq: 6, partition: 3, accepted: 0, processed: 0 }
    await store([...old, young, { ...young, seq: 7 }], { 3: 100 })
    const next = (after: number) => removeProcessed(db, 10, { partition: 3, after, limit: 2 })
    expect(await next(0)).toEqual({ events: 2, reached: 2, done: false })
    expect((await tables()).raw).toEqual([3, 4, 5, 6, 7])
    expect(await next(2)).toEqual({ events: 2, reached: 4, done: false })
    expect(await next(4)).toEqual({ events: 1, reached: 6, done: true })
    expect(await removeDeadLetters(db, 10, { after: 0, limit: 2 })).toEqual({ events: 0, reached: 0, done: true })
  })

  test('is done by one process at a time', async () => {
    await store(old, { 3: 100 })
    const other = await db.connect()
    await other.query('BEGIN')
    await other.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.retention])
    expect(await removeProcessed(db, 10, { partition: 3, after: 0, limit: 10 })).toBeUndefined()
    expect(await removeOld(db, { settledDays: 10, deadDays: 10 }, never)).toEqual({ processed: 0, dead: 0 })
    // Another schema has its own lock and is not held up.
    const schema = {
      tenantId: 'default',
      type: 'lock.free',
      schema: {},
      version: 1,
      after: 0,
      origin: 'api',
      by: 'ada',
    } as const
    expect(await addSchemaVersion(db, schema)).toBe(true)
    await prepare(db.options.connectionString!, [])
    await other.query('COMMIT')
    other.release()
    expect(await removeOld(db, { settledDays: 10, deadDays: 10 }, never)).toEqual({ processed: 5, dead: 0 })
  })

  test('does not begin another chunk when it is told to stop', async () => {
    await store(old, { 3: 100 })
    expect(await removeOld(db, { settledDays: 10, deadDays: 0 }, AbortSignal.abort(), 2)).toEqual({
      processed: 0,
      dead: 0,
    })
  })
})

const age = fc.integer({ min: 0, max: 40 })
const history = fc.oneof(
  fc.constant({}),
  fc.constant({ waits: true }),
  fc.record({ processed: age }),
  fc.record({ processed: age, waits: fc.constant(true) }),
  fc.record({ failed: fc.record({ age, status: fc.constant('open' as const) }) }),
  fc.record({
    failed: fc.record({ age, status: fc.constant('replaying' as const) }),
    waits: fc.constant(true),
  }),
  fc.record({ failed: fc.record({ age, status: fc.constant('discarded' as const), resolved: age }) }),
  fc.record({
    processed: age,
    failed: fc.record({ age, status: fc.constant('replayed' as const), resolved: age }),
  }),
)

test('for any mix of states and ages, exactly the settled events below the watermark and old enough are removed', async () => {
  const events = fc.array(fc.tuple(history, age, fc.integer({ min: 0, max: 2 })), { maxLength: 25 })
  const ages = fc.record({ settledDays: fc.nat(30), deadDays: fc.nat(30) })
  await fc.assert(
    fc.asyncProperty(
      events,
      fc.array(fc.nat(30), { minLength: 3, maxLength: 3 }),
      ages,
      fc.integer({ min: 1, max: 7 }),
      async (mix, marks, { settledDays, deadDays }, chunk) => {
        await clear()
        // Ages never rise with seq, and no event is settled before it was accepted.
        const accepted = mix.map(([, days]) => days).sort((a, b) => b - a)
        const stored = mix.map(
          ([{ processed, failed, ...rest }, , partition]: [Partial<Stored>, number, number], i) => {
            const atMost = (days: number) => Math.min(days, accepted[i]!)
            return {
              ...rest,
              ...{ seq: i + 1, partition, accepted: accepted[i]! },
              ...(processed !== undefined && { processed: atMost(processed) }),
              ...(failed && {
                failed: {
                  ...failed,
                  age: atMost(failed.age),
                  ...(failed.resolved !== undefined && { resolved: atMost(Math.min(failed.resolved, failed.age)) }),
                },
              }),
            } satisfies Stored
          },
        )
        await store(stored, { ...marks })

        const isOver = ({ seq, partition, waits }: Stored) => seq <= marks[partition]! && !waits
        const letterGoes = (event: Stored) =>
          isOver(event) && deadDays > 0 && (event.failed?.resolved ?? event.failed?.age ?? -1) >= deadDays
        const resultGoes = (event: Stored) =>
          isOver(event) &&
          settledDays > 0 &&
          (event.processed ?? -1) >= settledDays &&
          (!event.failed || letterGoes(event))
        const goes = (event: Stored) => resultGoes(event) || (letterGoes(event) && event.processed === undefined)
        const seqs = (kept: readonly Stored[]) => kept.map(({ seq }) => seq)

        await removeOld(db, { settledDays, deadDays }, never, chunk)
        expect(await tables()).toEqual({
          raw: seqs(stored.filter((event) => !goes(event))),
          processed: seqs(stored.filter((event) => event.processed !== undefined && !resultGoes(event))),
          failed: seqs(stored.filter((event) => event.failed && !letterGoes(event))),
        })
        const unsettled = stored.filter(({ processed, failed, waits }) => waits || (processed === undefined && !failed))
        expect((await tables()).raw).toEqual(expect.arrayContaining(seqs(unsettled)))
      },
    ),
    { numRuns: 25 },
  )
})

test('a worker removes what is older than its settings say, and without settings nothing', async () => {
  const pipeline = await startPipeline([], { EVENTFLOW_RETENTION_SETTLED_DAYS: '30' })
  try {
    const left = async () => (await pipeline.db.query('SELECT seq FROM raw_events ORDER BY seq')).rows
    await store(
      [
        { seq: 1, partition: 0, accepted: 40, processed: 40 },
        { seq: 2, partition: 0, accepted: 40, failed: { age: 40, status: 'open' } },
        { seq: 3, partition: 0, accepted: 20, processed: 20 },
      ],
      { 0: 10 },
      pipeline.db,
    )
    await pipeline.startWorker()
    await until('the old event is gone', async () => (await left()).length < 3)
    expect(await left()).toEqual([{ seq: 2 }, { seq: 3 }])
  } finally {
    await pipeline.stop()
  }
})

test('a stream entry of a removed event has no effect; a POST with its id is a new event', async () => {
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
  const pipeline = await startPipeline([step])
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
    await until('it is removed', async () => {
      const { processed } = await removeOld(pipeline.db, { settledDays: 7, deadDays: 0 }, never)
      return processed === 1
    })

    const removed = [...stored.values()][0]!.event
    await createPublisher(pipeline.redis, pipeline.prefix, pipeline.seal, 1_000).publish([removed])
    await pipeline.streamsEmpty()
    const effects = async () => (await pipeline.db.query('SELECT FROM effects')).rowCount
    expect(await effects()).toBe(1)

    expect(await pipeline.send([event])).toMatchObject({ accepted: 1, duplicate: 0 })
    await pipeline.drained()
    expect(await effects()).toBe(2)
  } finally {
    await pipeline.stop()
  }
})
