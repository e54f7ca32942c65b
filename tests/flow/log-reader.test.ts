/** The client’s reader of the log against a whole pipeline: it follows the log, and a group goes on where it was. */
import { createLogReader, type LogReader } from '@eventflow/client'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const step = defineEvent({ type: 'step.done', schema: Type.Object({ n: Type.Integer() }), key: ({ n }) => n % 7 })

let pipeline: TestPipeline
let reader: LogReader

beforeAll(async () => {
  pipeline = await startPipeline([step])
  await pipeline.startWorker()
  reader = createLogReader({ url: pipeline.url })
})

afterAll(async () => {
  await reader.close()
  await pipeline.stop()
})

async function send(first: number, last: number) {
  const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i)
  await pipeline.send(numbers.map((n) => ({ type: 'step.done', data: { n } })))
  await pipeline.drained()
}

test('a group handles every event; after a crash it gets again what it had not committed', async () => {
  await reader.commitPositions('billing', { from: 'earliest' })
  await send(1, 50)
  const handled: unknown[] = []
  /** Handles pages and commits each, until it is to crash before the commit of a page. */
  async function run(crashAfter: number) {
    for await (const { items, next } of reader.log({ group: 'billing', limit: 10 })) {
      handled.push(...items.map(({ data }) => data.n))
      if (handled.length >= crashAfter) return
      await reader.commitPositions('billing', { next })
    }
  }
  await run(30)
  expect((await reader.groupPositions('billing'))!.partitions.reduce((sum, { lag }) => sum + lag, 0)).toBe(30)
  await run(Infinity)
  expect(handled).toHaveLength(60)
  expect(new Set(handled)).toEqual(new Set(Array.from({ length: 50 }, (_, i) => i + 1)))
  expect((await reader.groupPositions('billing'))!.partitions.every(({ lag }) => lag === 0)).toBe(true)
  expect(await reader.groupPositions('none')).toBeUndefined()
})

test('a reader that follows gets every event as it is processed, until it is stopped', async () => {
  const stop = new AbortController()
  const { next } = await reader.page({ from: 'latest' })
  const seen: unknown[] = []
  const following = (async () => {
    for await (const { items } of reader.log({ from: next }, { follow: true, signal: stop.signal })) {
      seen.push(...items.map(({ data }) => data.n))
      if (seen.length >= 30) stop.abort()
    }
  })()
  for (let n = 101; n < 131; n += 10) await send(n, n + 9)
  await following
  expect(seen.toSorted()).toEqual(Array.from({ length: 30 }, (_, i) => 101 + i))
})
