/** Retention removes only events settled long ago, by parts: never an unsettled one, and never twice at once. */

import {
  ADVISORY_LOCKS,
  connect,
  type Db,
  endTurn,
  insertProcessed,
  type Lease,
  makeAhead,
  migrate,
  type Retired,
  readBuckets,
  readReach,
  removeDeadLetters,
  turnBucket,
} from '@eventflow/db'
import { removeOld } from '@eventflow/engine'
import { createPublisher } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import { administer, createDatabase, findStored, startPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

/** The seqs of a part. */
const WIDTH = 5

let url: string
let db: Db
/** The first seq of the test: the parts of earlier tests are below it. */
let base: number

beforeAll(async () => {
  url = await createDatabase({ migrated: false })
  await migrate(url, { partitions: 3, partEvents: WIDTH })
  db = connect({ url, applicationName: 'test', max: 5, onIdleError: () => {} })
})

beforeEach(clear)

afterAll(() => db.end())

/** Begins above all parts, which are left empty for retention to drop. */
async function clear() {
  await administer(
    `TRUNCATE raw_events, processed_events, failed_events, retries, event_ids;
     UPDATE ledger_parts SET emptied_at = now(), looked_at = now() WHERE dropped_at IS NULL`,
    url,
  )
  base = (await readReach(db))!.end
  await assignUpTo(0)
  await db.query('UPDATE partitions SET settled_seq = $1', [base - 1])
}

/** All seqs of the test up to the `n`th are assigned, and there are parts for more. */
async function assignUpTo(n: number) {
  await administer(`SELECT setval('event_seq', ${base + n - 1})`, url)
  await makeAhead(url, (await readReach(db))!, { partEvents: WIDTH, keptDays: 0 }, 4)
}

/** An event as stored in the tables; `seq` counts from 1 in each test, ages in days. A missing field has not happened. */
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

/** `settled`: up to which event everything is settled, of each partition. Unless `last` says so, seqs end with the last event. */
async function store(events: readonly Stored[], settled: Record<number, number>, last = events.at(-1)?.seq ?? 0) {
  await assignUpTo(last)
  for (const { seq, partition, accepted, processed, failed, waits } of events) {
    const event = [idOf(seq), base - 1 + seq, partition, ago(accepted)]
    await db.query(
      `INSERT INTO raw_events (tenant_id, event_id, seq, type, source, key, partition, occurred_at, accepted_at,
                               correlation_id, payload)
       VALUES ('default', $1, $2, 't', '/', 'k', $3, $4, $4, 'c', '{}')`,
      event,
    )
    if (processed !== undefined) {
      await db.query(
        `INSERT INTO processed_events (tenant_id, event_id, seq, type, key, partition, payload, attempts, worker_id,
                                       correlation_id, accepted_at, processed_at, processing_ms)
         VALUES ('default', $1, $2, 't', 'k', $3, '{}', 1, 'w', 'c', $4, $5, 1)`,
        [...event, ago(processed)],
      )
    }
    if (failed) {
      await db.query(
        `INSERT INTO failed_events (tenant_id, event_id, seq, type, key, partition, payload, failure_type, error_class,
                                    message, errors, component, worker_id, attempts, history, correlation_id, accepted_at,
                                    failed_at, status, resolved_at)
         VALUES ('default', $1, $2, 't', 'k', $3, '{}', 'permanent', 'E', 'm', '[]', 'handle', 'w', 1, '[]', 'c', $4,
                 $5, $6, $7)`,
        [...event, ago(failed.age), failed.status, ago(failed.resolved)],
      )
    }
    if (waits) {
      await db.query(
        `INSERT INTO retries (tenant_id, event_id, seq, partition, attempts, due_at)
         VALUES ('default', $1, $2, $3, 1, now())`,
        [idOf(seq), base - 1 + seq, partition],
      )
    }
  }
  for (const [partition, seq] of Object.entries(settled)) {
    await db.query('UPDATE partitions SET settled_seq = $2 WHERE id = $1', [partition, base - 1 + seq])
  }
}

const seqsIn = async (table: string) =>
  (await db.query(`SELECT seq FROM ${table} ORDER BY seq`)).rows.map((row) => row.seq - base + 1)

const tables = async () => ({
  raw: await seqsIn('raw_events'),
  processed: await seqsIn('processed_events'),
  failed: await seqsIn('failed_events'),
})

/** The parts of the test that exist, as `first-last` event. */
async function parts(): Promise<string[]> {
  const { rows } = await db.query(
    `SELECT (SELECT relname FROM pg_class WHERE oid = inhrelid) AS leaf, p.from_seq, p.until_seq FROM pg_inherits
     JOIN ledger_parts p ON 'raw_events_' || p.part = (SELECT relname FROM pg_class WHERE oid = inhrelid)
     WHERE inhparent = 'raw_events'::regclass AND p.dropped_at IS NULL AND p.until_seq > $1 ORDER BY from_seq`,
    [base],
  )
  return rows.map((row) => `${row.from_seq - base + 1}-${row.until_seq - base}`)
}

const firstSeq = async () => (await db.query('SELECT first_seq FROM ledger')).rows[0].first_seq - base + 1

const never = new AbortController().signal

/** Runs a round, and returns what happened to the parts of the test. */
async function round({ settledDays = 0, deadDays = 0, archivedOnly = false, stopping = never, chunk = 1_000 } = {}) {
  const told: string[] = []
  const tell = (retired: Retired) => {
    if (retired.part.until <= base) return
    const outcome = retired.what === 'emptied' ? retired.outcome : retired.what
    told.push(`${retired.part.from - base + 1}-${retired.part.until - base}: ${outcome}`)
  }
  const rules = { settledDays, deadDays, archivedOnly }
  const letters = await removeOld({ db, url }, rules, stopping, { told: tell, chunk, pauseMs: 50 })
  return { letters, told }
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** Events that were processed long ago. */
const old = (first: number, last: number): Stored[] =>
  range(first, last).map((seq) => ({ seq, partition: seq % 3, accepted: LONG_AGO, processed: LONG_AGO }))

const LONG_AGO = 50
const ALL = { 0: 1_000, 1: 1_000, 2: 1_000 }

describe('retention removes', () => {
  test('a part when its youngest event was accepted, and all its events were processed, longer ago than the age', async () => {
    const events = range(1, 15).map((seq) => ({ seq, partition: 0, accepted: 20 - seq, processed: 20 - seq }))
    await store(events, ALL)
    expect(await round({ settledDays: 10 })).toEqual({
      letters: 0,
      told: ['1-5: emptied', '6-10: emptied', '1-5: dropped', '6-10: dropped'],
    })
    expect(await tables()).toEqual({ raw: range(11, 15), processed: range(11, 15), failed: [] })
    expect((await parts())[0]).toBe('11-15')
    expect(await firstSeq()).toBe(11)
  })

  test('nothing if both ages are 0, however old it is', async () => {
    await store(old(1, 5), ALL, 10)
    expect(await round()).toEqual({ letters: 0, told: [] })
    expect((await tables()).raw).toEqual(range(1, 5))
  })

  test('no part that still takes events, and none above the watermark of one of its partitions', async () => {
    await store(old(1, 14), { 0: 9, 1: 7, 2: 14 })
    expect((await round({ settledDays: 1 })).told).toEqual(['1-5: emptied', '1-5: dropped'])
    await store([], { 1: 10 }, 14)
    expect((await round({ settledDays: 1 })).told).toEqual(['6-10: emptied', '6-10: dropped'])
    await store([], ALL, 14)
    expect((await round({ settledDays: 1 })).told).toEqual([])
    expect((await tables()).raw).toEqual(range(11, 14))
  })

  test('a part of which a partition has no event, and whose watermark is below', async () => {
    await store(
      old(1, 10).map((event) => ({ ...event, partition: 0 })),
      { 0: 10, 1: 0, 2: 0 },
    )
    expect((await round({ settledDays: 1 })).told).toHaveLength(4)
  })

  test('dead letters by their own age, counted from the last decision', async () => {
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
      ALL,
      10,
    )
    expect(await round({ deadDays: 10 })).toEqual({ letters: 3, told: [] })
    expect(await tables()).toEqual({ raw: [2, 4, 5, 6, 7], processed: [6, 7], failed: [2, 4, 5, 7] })
    expect((await round({ settledDays: 10 })).told).toEqual(['6-10: emptied'])
    expect(await tables()).toEqual({ raw: [2, 4, 5, 7], processed: [7], failed: [2, 4, 5, 7] })
  })

  test('only parts that were archived, if it is to', async () => {
    await store(old(1, 10), ALL)
    await db.query('UPDATE ledger_parts SET archived_at = now() WHERE from_seq = $1', [base + 5])
    expect((await round({ settledDays: 1, archivedOnly: true })).told).toEqual(['6-10: emptied'])
    expect((await tables()).raw).toEqual(range(1, 5))
  })
})

describe('a part with events that are kept', () => {
  const letter = (seq: number): Stored => ({
    ...{ seq, partition: 0, accepted: LONG_AGO },
    failed: { age: LONG_AGO, status: 'open' },
  })
  const lookAgain = () => db.query('UPDATE ledger_parts SET looked_at = NULL')

  test('is emptied in place and dropped when nothing is kept any more; later parts wait for it', async () => {
    await store([...old(1, 2), letter(3), ...old(4, 10)], ALL)
    expect((await round({ settledDays: 10 })).told).toEqual(['1-5: emptied', '6-10: emptied'])
    expect(await tables()).toEqual({ raw: [3], processed: [], failed: [3] })
    expect(await firstSeq()).toBeLessThanOrEqual(1)
    await lookAgain()
    expect((await round({ settledDays: 10 })).told).toEqual([])
    expect(await round({ settledDays: 10, deadDays: 10 })).toEqual({
      letters: 1,
      told: ['1-5: dropped', '6-10: dropped'],
    })
    expect(await firstSeq()).toBe(11)
  })

  test('keeps an event that is not settled, and says so', async () => {
    await store([...old(1, 2), { seq: 3, partition: 0, accepted: LONG_AGO }, ...old(4, 5)], ALL)
    const told: Retired[] = []
    const rules = { settledDays: 1, deadDays: 0, archivedOnly: false }
    await removeOld({ db, url }, rules, never, { told: (retired) => told.push(retired) })
    expect(told.at(-1)).toMatchObject({ outcome: 'emptied', events: 5, kept: 1, unsettled: 1 })
    expect((await tables()).raw).toEqual([3])
  })

  test('takes the result of a retry after it was emptied', async () => {
    await store([...old(1, 2), { seq: 3, partition: 0, accepted: LONG_AGO, waits: true }, ...old(4, 5)], ALL)
    expect((await round({ settledDays: 1 })).told).toEqual(['1-5: emptied'])
    expect((await settle(3)).inserted).toEqual(new Set([base + 2]))
    expect(await tables()).toMatchObject({ raw: [3], processed: [3] })
  })

  test('is folded with its neighbours when they are many', async () => {
    await store(
      range(1, 30).map((seq) => (seq % 5 === 2 ? { ...letter(seq), partition: seq % 3 } : old(seq, seq)[0]!)),
      ALL,
    )
    const { told } = await round({ settledDays: 10 })
    expect(told.at(-1)).toBe('1-30: folded')
    expect(told).toHaveLength(7)
    expect((await parts())[0]).toBe('1-30')
    expect(await tables()).toEqual({ raw: [2, 7, 12, 17, 22, 27], processed: [], failed: [2, 7, 12, 17, 22, 27] })
    await store([letter(31)], ALL)
    expect((await round({ settledDays: 10, deadDays: 10 })).told).toEqual(['1-30: dropped'])
  })
})

/** Settles an event of partition 0 as its owner would. */
async function settle(seq: number) {
  await db.query(
    `UPDATE partitions SET owner = 'w', epoch = epoch + 1, lease_expires_at = now() + interval '1 hour' WHERE id = 0`,
  )
  const { rows } = await db.query('SELECT epoch FROM partitions WHERE id = 0')
  const lease: Lease = { partition: 0, epoch: rows[0].epoch, dirty: null }
  const event = {
    ...{ tenantId: 'default', id: idOf(seq), seq: base - 1 + seq, partition: 0, type: 't', source: '/', key: 'k' },
    ...{ correlationId: 'c', acceptedAt: ago(LONG_AGO)!, occurredAt: ago(LONG_AGO)!, payload: '{}' },
  }
  const delivery = { event, attempts: 1, history: [], crashes: 0, payload: '{}' }
  return insertProcessed(db, [{ delivery, payload: '{}' } as never], [lease], { workerId: 'w', processingMs: 1 })
}

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

describe('removing', () => {
  test('goes by chunks of dead letters, the oldest first, and stops at the first event that is too young', async () => {
    const letter = (seq: number, age: number): Stored => ({
      ...{ seq, partition: 0, accepted: age },
      failed: { age, status: 'open' },
    })
    await store([...range(1, 5).map((seq) => letter(seq, LONG_AGO)), letter(6, 0), letter(7, 0)], ALL)
    const next = (after: number) => removeDeadLetters(db, 10, { after: base - 1 + after, limit: 2 })
    expect(await next(0)).toEqual({ events: 2, reached: base + 1, done: false })
    expect((await tables()).raw).toEqual([3, 4, 5, 6, 7])
    expect(await next(2)).toEqual({ events: 2, reached: base + 3, done: false })
    expect(await next(4)).toEqual({ events: 1, reached: base + 5, done: true })
  })

  test('is done by one process at a time', async () => {
    await store(old(1, 5), ALL, 10)
    const other = await db.connect()
    await other.query('BEGIN')
    await other.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.retention])
    expect(await removeDeadLetters(db, 10, { after: 0, limit: 10 })).toBeUndefined()
    expect(await round({ settledDays: 10, deadDays: 10 })).toEqual({ letters: 0, told: [] })
    await other.query('COMMIT')
    other.release()
    expect((await round({ settledDays: 10, deadDays: 10 })).told).toEqual(['1-5: emptied', '1-5: dropped'])
  })

  test('does not begin another part when it is told to stop', async () => {
    await store(old(1, 5), ALL, 10)
    expect((await round({ settledDays: 10, stopping: AbortSignal.abort() })).told).toEqual([])
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

test('for any mix of states and ages, exactly the old events of old parts are removed that nothing keeps', async () => {
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
        const left = stored.filter((event) => !letterGoes(event) || event.processed !== undefined)
        const partOf = ({ seq }: Stored) => Math.ceil(seq / WIDTH)
        const isDue = (part: number) => {
          const its = left.filter((event) => partOf(event) === part)
          return (
            settledDays > 0 &&
            part * WIDTH <= stored.length &&
            its.every(({ seq, partition, accepted }) => seq <= marks[partition]! && accepted >= settledDays)
          )
        }
        const due = new Map(range(1, 5).map((part) => [part, isDue(part)]))
        const stays = (event: Stored) =>
          event.waits ||
          (event.failed && !letterGoes(event)) ||
          event.processed === undefined ||
          event.processed < settledDays
        const kept = left.filter((event) => !due.get(partOf(event)) || stays(event))
        const seqs = (events: readonly Stored[]) => events.map(({ seq }) => seq)

        await round({ settledDays, deadDays, chunk })
        expect(await tables()).toEqual({
          raw: seqs(kept),
          processed: seqs(kept.filter((event) => event.processed !== undefined)),
          failed: seqs(stored.filter((event) => event.failed && !letterGoes(event))),
        })
        const unsettled = stored.filter(({ processed, failed, waits }) => waits || (processed === undefined && !failed))
        expect((await tables()).raw).toEqual(expect.arrayContaining(seqs(unsettled)))
        const [lowest] = await parts()
        expect(Number(lowest!.split('-')[0])).toBe(Math.max(1, await firstSeq()))
        expect((await parts()).length).toBeLessThanOrEqual(12)
      },
    ),
    { numRuns: 40 },
  )
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
      await until('the turn has ended', () => endTurn(pipeline.db, 0))
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
