/** The watchdog: a worker that makes no progress while events wait reports it, with the reason. */
import { join } from 'node:path'
import { defineEvent, Type, UnavailableError } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

const EVENTS = join(import.meta.dirname, '../events')

/** Whether the enricher ends. */
let gate = { opened: Promise.resolve(), open: () => {} }
let sourceIsAway = false

function closeGate(): void {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  gate = { opened, open }
}

const gated = defineEvent({
  type: 'gated',
  schema: Type.Object({}),
  enrich: [
    {
      name: 'gate',
      enrich: async (events) => {
        await gate.opened
        return events.map(() => (sourceIsAway ? new UnavailableError('the source') : {}))
      },
    },
  ],
})

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([gated, step], { EVENTFLOW_STALLED_AFTER_SECONDS: '1' })
})

afterAll(() => pipeline.stop())

const stalled = async ({ metrics }: Awaited<ReturnType<TestPipeline['startWorker']>>) =>
  (await metrics.stalled.get()).values[0]?.value

test('a worker whose batch does not end is stalled, until it does', async () => {
  const worker = await pipeline.startWorker('a')
  await until(
    'it works',
    async () => (await pipeline.db.query('SELECT FROM partitions WHERE owner IS NULL')).rows.length === 0,
  )
  expect(worker.health()).toEqual({ stalled: [], heldUp: [] })
  closeGate()
  const sentAt = Date.now()
  await pipeline.send([{ type: 'gated', partitionkey: 'k', data: {} }])
  const { partitions, since } = await until('it says so', () =>
    worker.health().stalled.find(({ why }) => /^has been processing a batch for \d+ s$/.test(why)),
  )
  expect(partitions).toHaveLength(1)
  expect(Math.abs(Date.parse(since) - sentAt)).toBeLessThan(60_000)
  expect(await stalled(worker)).toBe(1)

  gate.open()
  await pipeline.drained()
  await until('it is over', () => worker.health().stalled.length === 0)
  expect(await stalled(worker)).toBe(0)
  expect(pipeline.logged.map(({ msg }) => msg)).toEqual(
    expect.arrayContaining(['stalled: there is a backlog and no event is settled', 'no longer stalled']),
  )
  await worker.stop()
})

test('events that wait for a dependency hold up their partition, and the worker is healthy', async () => {
  const worker = await pipeline.startWorker('b')
  sourceIsAway = true
  await pipeline.send([{ type: 'gated', partitionkey: 'k', data: {} }])
  await until('it says so', () => worker.health().heldUp.length > 0)
  expect(worker.health()).toMatchObject({
    stalled: [],
    heldUp: [{ why: 'events are blocked behind a retry or wait for a dependency' }],
  })
  expect(await stalled(worker)).toBe(0)
  sourceIsAway = false
  await pipeline.drained()
  await until('it is over', () => worker.health().heldUp.length === 0)
  await worker.stop()
})

test('a worker process reports it over HTTP; and a second one on its port names the wrong setting', async () => {
  const worker = await pipeline.startWorkerProcess('c', EVENTS, { EVENTFLOW_STALLED_AFTER_SECONDS: '1' })
  const get = async (path: string) => {
    const response = await fetch(worker.url + path)
    return { status: response.status, text: await response.text() }
  }
  expect(await get('/readyz')).toEqual({ status: 200, text: 'ready\n' })
  expect(JSON.parse((await get('/health')).text)).toEqual({ status: 'ok', stalled: [], held_up: [] })
  expect((await get('/metrics')).text).toContain('eventflow_build_info{version="0.1.0",worker_id="c"')

  const port = new URL(worker.url).port
  await expect(pipeline.startWorkerProcess('d', EVENTS, { EVENTFLOW_METRICS_PORT: port })).rejects.toThrow(
    `EVENTFLOW_METRICS_PORT: port ${port} is used by another program`,
  )

  await pipeline.send([{ type: 'fault.step', data: { key: 'k', n: 0, mood: 'stuck' } }])
  await until('it says so', async () => {
    const { status, text } = await get('/readyz')
    return (
      status === 503 && /^not ready: partition \d+ settled nothing since \S+: has been processing a batch/.test(text)
    )
  })
  const health = await get('/health')
  expect(health.status).toBe(503)
  expect(JSON.parse(health.text)).toMatchObject({ status: 'stalled', stalled: [{ partitions: [expect.any(Number)] }] })
  expect((await get('/metrics')).text).toContain('eventflow_worker_stalled{service="worker"} 1')
  expect((await get('/livez')).status).toBe(200)
})
