/** Following an event until it is settled: GET /v1/events/{id}, with and without waiting. */

import { readDepths } from '@eventflow/redis'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

/** Blocks a handler until it is opened. */
let gate: PromiseWithResolvers

interface PromiseWithResolvers {
  promise: Promise<void>
  resolve: () => void
}

function newGate(): PromiseWithResolvers {
  let resolve = () => {}
  const promise = new Promise<void>((open) => {
    resolve = open
  })
  return { promise, resolve }
}

let entered = 0

const guarded = defineEvent({
  type: 'door.opened',
  schema: Type.Object({}),
  async handle() {
    entered++
    await gate.promise
  },
})

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([guarded])
  await pipeline.startWorker('follower')
})

afterAll(async () => {
  gate.resolve()
  await pipeline.stop()
})

/** Sends an event; resolves when its handler has begun. */
async function sendGuarded(): Promise<string> {
  gate = newGate()
  const before = entered
  const { items } = await pipeline.send([{ type: 'door.opened', data: {} }])
  await until('the handler has begun', () => entered > before)
  return items[0]!.id!
}

async function follow(id: string, query = '') {
  const start = performance.now()
  const response = await fetch(`${pipeline.url}/v1/events/${id}${query}`)
  // biome-ignore lint/suspicious/noExplicitAny: each test inspects the answers.
  const answer = (await response.json()) as any
  return { answer, tookMs: performance.now() - start }
}

test('without waiting, the answer is the present state', async () => {
  const id = await sendGuarded()
  expect((await follow(id)).answer).toMatchObject({ status: 'accepted', attempts: 0, timeline: [{ what: 'accepted' }] })
  gate.resolve()
  await pipeline.drained()
  expect((await follow(id)).answer).toMatchObject({
    status: 'processed',
    attempts: 1,
    timeline: [{ what: 'accepted' }, { what: 'processed', detail: 'by follower' }],
  })
})

test('waiting requests are answered as soon as the event is settled, all at once', async () => {
  const id = await sendGuarded()
  const waiting = Promise.all(Array.from({ length: 20 }, () => follow(id, '?wait=20s')))
  const stillWaiting = await Promise.race([waiting.then(() => false), follow(id, '?wait=200ms').then(() => true)])
  expect(stillWaiting).toBe(true)
  gate.resolve()
  for (const { answer, tookMs } of await waiting) {
    expect(answer).toMatchObject({ id, status: 'processed' })
    expect(tookMs).toBeLessThan(5_000)
  }
})

test('after the maximum wait the answer is the present state', async () => {
  const id = await sendGuarded()
  const { answer, tookMs } = await follow(id, '?wait=300ms')
  expect(answer).toMatchObject({ id, status: 'accepted' })
  expect(tookMs).toBeGreaterThanOrEqual(290)
  expect(tookMs).toBeLessThan(2_000)
  gate.resolve()
})

test('an event stays in its stream until it is settled', async () => {
  await pipeline.streamsEmpty()
  const id = await sendGuarded()
  const depths = await readDepths(pipeline.redis, pipeline.prefix, pipeline.partitions)
  expect(depths.reduce((sum, { pending }) => sum + pending, 0)).toBe(1)
  gate.resolve()
  expect((await follow(id, '?wait=20s')).answer).toMatchObject({ status: 'processed' })
  await pipeline.streamsEmpty()
})

test('a settled event, or one never accepted, is answered without waiting', async () => {
  const id = await sendGuarded()
  gate.resolve()
  await pipeline.drained()
  for (const known of [id, 'never sent']) expect((await follow(known, '?wait=20s')).tookMs).toBeLessThan(2_000)
})
