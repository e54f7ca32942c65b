/** Worker processes under load: one is killed, one is told to stop, one comes back. */
import { join } from 'node:path'
import { startPipeline, startSteadyLoad, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

const EVENTS = join(import.meta.dirname, '../events')

let pipeline: TestPipeline

beforeEach(async () => {
  pipeline = await startPipeline([step])
})

afterEach(() => pipeline.stop())

const keys = Array.from({ length: 40 }, (_, n) => `key ${n}`)
const startLoad = () =>
  startSteadyLoad(pipeline.url, {
    keys,
    eventOf: (key, n) => ({ type: 'fault.step', data: { key, n } }),
    pauseMs: 50,
  })

const count = async (text: string, values: unknown[] = []) =>
  (await pipeline.db.query(`SELECT count(*)::integer AS count FROM ${text}`, values)).rows[0].count as number
const ownedBy = (worker: string) => count('partitions WHERE owner = $1 AND lease_expires_at > now()', [worker])
const untilShares = (shares: Record<string, number>) =>
  until(`the partitions are shared: ${JSON.stringify(shares)}`, async () => {
    for (const [worker, share] of Object.entries(shares)) if ((await ownedBy(worker)) !== share) return false
    return true
  })
/** Resolves when every event that was accepted before the call is settled. */
async function untilLevel(timeoutMs?: number): Promise<void> {
  const { rows } = await pipeline.db.query('SELECT max(seq) AS seq FROM raw_events')
  const behind = () => count(`events WHERE seq <= $1 AND status NOT IN ('processed', 'failed')`, [rows[0].seq])
  await until('what was accepted is settled', async () => (await behind()) === 0, timeoutMs)
}

/** Checks that every acknowledged event took effect once, and each key's in the order of sending. */
async function expectAllOnceInOrder(acknowledged: ReadonlyMap<string, number>): Promise<void> {
  const { rows } = await pipeline.db.query('SELECT key, array_agg(n ORDER BY at) AS done FROM effects GROUP BY key')
  const done = new Map(rows.map((row) => [row.key, row.done]))
  for (const [key, sent] of acknowledged) expect([key, done.get(key)]).toEqual([key, [...Array(sent).keys()]])
  expect(await count('effects')).toBe(await count('raw_events'))
  expect(await count('processed_events')).toBe(await count('raw_events'))
}

test('one of two workers is killed: the other takes over within 15 s, nothing is missing, twice or out of order', async () => {
  const [killed] = await Promise.all([
    pipeline.startWorkerProcess('killed', EVENTS),
    pipeline.startWorkerProcess('survivor', EVENTS),
  ])
  await untilShares({ killed: 8, survivor: 8 })
  const load = startLoad()
  const bothWork = async () =>
    (await count('(SELECT DISTINCT worker_id FROM processed_events) AS workers')) === 2 && load.total() > 1_000
  await until('both work', bothWork, 30_000)

  killed.kill('SIGKILL')
  const killedAt = performance.now()
  expect(await killed.exited).toBe('signal SIGKILL')
  await untilShares({ survivor: 16 })
  await untilLevel()
  expect(performance.now() - killedAt).toBeLessThan(15_000)

  await load.stop()
  await pipeline.drained()
  await pipeline.streamsEmpty()
  await expectAllOnceInOrder(load.acknowledged)
}, 90_000)

test('a worker that is told to stop under load does so soon and in order; one that is killed comes back at once', async () => {
  const worker = await pipeline.startWorkerProcess('a', EVENTS)
  await untilShares({ a: 16 })
  const load = startLoad()
  await until('it works', async () => (await count('effects')) > 500)

  worker.kill('SIGTERM')
  const toldAt = performance.now()
  expect(await worker.exited).toBe('code 0')
  expect(performance.now() - toldAt).toBeLessThan(5_000)
  expect(await count('partitions WHERE owner IS NULL')).toBe(16)
  expect(await count('workers')).toBe(0)

  const second = await pipeline.startWorkerProcess('a', EVENTS)
  await untilLevel()
  second.kill('SIGKILL')
  const killedAt = performance.now()
  await second.exited
  await pipeline.startWorkerProcess('a', EVENTS)
  await untilLevel()
  expect(performance.now() - killedAt).toBeLessThan(8_000)

  await load.stop()
  await pipeline.drained()
  await pipeline.streamsEmpty()
  await expectAllOnceInOrder(load.acknowledged)
}, 60_000)
