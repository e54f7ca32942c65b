/** While events wait, the log says so: before the first event that passes them, and again when they are settled. */
import { microsOf, partitionOf } from '@eventflow/core'
import { readLastDrawn, readLog, readMarks, readOpenHolds } from '@eventflow/db'
import { defineEvent, PermanentError, Type, UnavailableError } from '@eventflow/sdk'
import { acceptEvents, newEvent, post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { watchStatements } from './statements.fixture.js'

/** The events whose dependency is down, that can never succeed, and whose handler fails. */
const away = new Set<number>()
const bad = new Set<number>()
const failing = new Set<number>()

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
  key: ({ key }) => key,
  retry: { attempts: 100, baseDelayMs: 100, maxDelayMs: 100 },
  enrich: [
    {
      name: 'asks',
      enrich: async (events) =>
        events.map(({ data: { n } }) => {
          if (bad.has(n)) return new PermanentError('never works')
          return away.has(n) ? new UnavailableError('the source') : {}
        }),
    },
  ],
  async handle({ data }) {
    if (failing.has(data.n)) throw new Error('refused')
  },
})

let pipeline: TestPipeline
let worker: Awaited<ReturnType<TestPipeline['startWorker']>>
/** Called when a transaction of the workers has committed, before its answer arrives. */
let committed = (_statements: readonly string[]) => {}
/** Where the log ends before a test. */
let end: number

beforeAll(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_LANES: '1' })
  const statements = new WeakMap<object, string[]>()
  watchStatements(pipeline, (statement, client) => {
    const said = [...(statements.get(client) ?? []), statement]
    const ends = statement.startsWith('COMMIT')
    statements.set(client, ends ? [] : said)
    if (ends) committed(said)
  })
  worker = await pipeline.startWorker('a')
  await until('its streams are in use', async () => {
    const { rowCount } = await pipeline.db.query('SELECT FROM partitions WHERE redis_run_id IS NULL')
    return rowCount === 0
  })
})

afterAll(() => pipeline.stop())

beforeEach(async () => {
  committed = () => {}
  end = await readLastDrawn(pipeline.db)
})

/** Keys of one partition. */
const PARTITION = 0
const KEYS = Array.from({ length: 2_000 }, (_, n) => `key ${n}`).filter(
  (key) => partitionOf('default', key, 16) === PARTITION,
)

/** The time of event `n`: the events of a test have times in this order. */
const timeOf = (n: number) => new Date(Date.parse('2026-01-01T00:00:00.000Z') + n * 1_000).toISOString()
const dataOf = (n: number) => ({ key: KEYS[n]!, n })
const send = async (...ns: number[]) => {
  const { items } = await pipeline.send(ns.map((n) => ({ type: 'step.done', time: timeOf(n), data: dataOf(n) })))
  expect(items.map(({ status }) => status)).toEqual(ns.map(() => 'accepted'))
}

/** The log since the test began: the numbers of events, and the marks with the number of the event they are for. */
async function log(partition = PARTITION): Promise<(number | string)[]> {
  const place = { partition, after: end }
  const [page] = await readLog(pipeline.db, [place], { limit: 1_000, bytes: 1e9 })
  const [{ marks }] = (await readMarks(pipeline.db, [{ ...place, ...page! }])) as [
    Awaited<ReturnType<typeof readMarks>>[0],
  ]
  const numberOf = (at: bigint) => Number((at - microsOf(timeOf(0))) / 1_000_000n)
  const entries = [
    ...page!.entries.map(({ position, event }) => ({ position, shown: JSON.parse(event.payload).n })),
    ...marks.map(({ position, kind, at, tenantId }) => {
      const text = at === undefined ? kind : `${kind} ${numberOf(at)}`
      return { position, shown: tenantId === 'default' ? text : `${text} of ${tenantId}` }
    }),
  ]
  return entries.sort((a, b) => a.position - b.position).map(({ shown }) => shown)
}

const logHas = (n: number) => until(`event ${n} is in the log`, async () => (await log()).includes(n))

test('nothing is written while nothing waits', async () => {
  const written: string[] = []
  committed = (statements) => written.push(...statements.filter((name) => name.endsWith('holds')))
  await send(1, 2, 3)
  await logHas(3)
  expect(await log()).toEqual([1, 2, 3])
  expect(written).toEqual([])
})

test('a hold comes before the first event that passes one whose dependency is down, and its release after that one', async () => {
  away.add(4)
  await send(4)
  await send(16)
  await logHas(16)
  await send(17)
  await logHas(17)
  away.delete(4)
  await logHas(4)
  expect(await log()).toEqual(['hold 4', 16, 17, 4, 'release'])
  expect((await readOpenHolds(pipeline.db, [PARTITION])).get(PARTITION)).toEqual(new Map())
})

test('also one that awaits a retry', async () => {
  failing.add(4)
  await send(4, 16)
  await logHas(16)
  failing.delete(4)
  await logHas(4)
  expect(await log()).toEqual(['hold 4', 16, 4, 'release'])
})

test('a hold is lowered before an event passes an earlier one, and raised after that one is settled', async () => {
  for (const n of [8, 4]) away.add(n)
  await send(8, 16)
  await logHas(16)
  await send(4, 17)
  await logHas(17)
  away.delete(4)
  await logHas(4)
  await send(18)
  await logHas(18)
  away.delete(8)
  await logHas(8)
  expect(await log()).toEqual(['hold 8', 16, 'hold 4', 17, 4, 'hold 8', 18, 8, 'release'])
})

test('an event that becomes a dead letter holds nothing any more', async () => {
  away.add(4)
  await send(4, 16)
  await logHas(16)
  bad.add(4)
  await until('it is a dead letter', async () => (await log()).includes('release'))
  expect(await log()).toEqual(['hold 4', 16, 'release'])
  for (const events of [bad, away]) events.clear()
})

test('if the answer to the COMMIT was lost, what is written again depends on what was committed', async () => {
  failing.add(4)
  let lost = 0
  committed = (statements) => {
    if (!statements.includes('write-holds') || lost++ > 0) return
    failing.delete(4)
    throw Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' })
  }
  await send(4, 16)
  await logHas(4)
  expect(lost).toBeGreaterThan(0)
  expect(await log()).toEqual(['hold 4', 16, 4, 'release'])
})

test('only the tenant of the event is held', async () => {
  await pipeline.db.query("INSERT INTO tenants (tenant_id) VALUES ('other') ON CONFLICT DO NOTHING")
  const events = [
    { tenantId: 'other', n: 4 },
    { tenantId: 'default', n: 16 },
    { tenantId: 'other', n: 17 },
  ]
  away.add(4)
  await acceptEvents(
    pipeline.db,
    events.map(({ tenantId, n }) =>
      newEvent({
        tenantId,
        partition: PARTITION,
        type: 'step.done',
        occurredAt: timeOf(n),
        payload: JSON.stringify(dataOf(n)),
      }),
    ),
  )
  await pipeline.db.query('UPDATE partition_marks SET dirty = dirty + 1 WHERE id = $1', [PARTITION])
  await logHas(17)
  away.delete(4)
  await logHas(4)
  expect(await log()).toEqual(['hold 4 of other', 16, 17, 4, 'release of other'])
})

test('a processed event that is replayed holds nothing: it keeps its place', async () => {
  await send(4, 5)
  await logHas(5)
  failing.add(4)
  const { rows } = await pipeline.db.query(
    "SELECT event_id FROM processed_events WHERE payload->>'n' = '4' ORDER BY position DESC LIMIT 1",
  )
  const started = await post(`${pipeline.url}/v1/events/replay`, {
    target: 'processed',
    filter: { ids: [rows[0].event_id] },
    reason: 'a test',
  })
  expect(started.status).toBe(202)
  await until(
    'it waits',
    async () => (await pipeline.db.query('SELECT FROM retries WHERE attempts > 0')).rowCount === 1,
  )
  await send(16)
  await logHas(16)
  failing.delete(4)
  await pipeline.drained()
  expect(await log()).toEqual([4, 5, 16])
})

test('a hold outlives its worker: the next one releases it when all that may be held is settled', async () => {
  away.add(4)
  await send(4, 16)
  await logHas(16)
  await worker.stop()
  worker = await pipeline.startWorker('b')
  await send(17)
  await logHas(17)
  away.delete(4)
  await logHas(4)
  expect(await log()).toEqual(['hold 4', 16, 17, 4])
  // So that no event can be accepted below these any more.
  await pipeline.db.query("UPDATE raw_events SET accepted_at = accepted_at - interval '1 minute'")
  await until('it is released', async () => (await log()).includes('release'))
  expect(await log()).toEqual(['hold 4', 16, 17, 4, 'release'])
  away.add(5)
  await send(5, 18)
  await logHas(18)
  away.delete(5)
  await logHas(5)
  expect((await log()).slice(5)).toEqual(['hold 5', 18, 5, 'release'])
})
