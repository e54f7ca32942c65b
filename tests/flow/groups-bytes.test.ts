/** What a consumer group has in memory is bounded in bytes: what it reads at once, and what it has parked. */
import { partitionOf } from '@eventflow/core'
import { type ConsumerDefinition, defineConsumer, defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'

type Data = { n: number; text: string }

const noted = defineEvent({ type: 'noted', schema: Type.Object({ n: Type.Integer(), text: Type.String() }) })
const pipelines: TestPipeline[] = []

afterEach(async () => {
  for (const pipeline of pipelines.splice(0).reverse()) await pipeline.stop()
})

async function open(groups: ConsumerDefinition<Data>[], settings: Record<string, string> = {}): Promise<TestPipeline> {
  const pipeline = await startPipeline([noted], settings, groups as ConsumerDefinition[])
  pipelines.push(pipeline)
  return pipeline
}

const note = (n: number, bytes: number, key = 'k') => ({
  ...{ type: 'noted', partitionkey: key, data: { n, text: 'x'.repeat(bytes) } },
})

test('a batch has no more than the share of its partition in 16 MiB, and one event', async () => {
  const [EVENTS, BYTES] = [30, 150_000]
  const first = await open([])
  await first.startWorker()
  for (let n = 0; n < EVENTS; n += 5) {
    await first.send([0, 1, 2, 3, 4].map((i) => note(n + i, BYTES)))
  }
  await first.drained()
  const batches: number[] = []
  const group = defineConsumer<Data>({
    ...{ name: 'g', events: ['noted'], from: 'earliest' },
    handleBatch: async (events) => void batches.push(events.length),
  })
  const second = await open([group], { DATABASE_URL: first.databaseUrl })
  await second.startWorker()
  const sum = () => batches.reduce((a, b) => a + b, 0)
  await until('all are handled', () => sum() >= EVENTS)
  expect(sum()).toBe(EVENTS)
  const share = (16 * 2 ** 20) / second.partitions
  expect(Math.max(...batches)).toBe(Math.floor(share / BYTES) + 1)
}, 60_000)

test('while too much is parked in a partition, nothing more of it is read; others go on', async () => {
  let failing = true
  const handled: number[] = []
  const group = defineConsumer<Data>({
    ...{ name: 'g', events: ['noted'], from: 'earliest', retry: { attempts: 1_000, baseDelayMs: 50, maxDelayMs: 50 } },
    handle: async ({ data: { n } }) => {
      if (failing && n < 10) throw new Error('not yet')
      handled.push(n)
    },
  })
  const pipeline = await open([group], { EVENTFLOW_MAX_WAITING_BYTES: `${2 ** 20}` })
  await pipeline.startWorker()
  const { db, partitions } = pipeline
  const keys = Array.from({ length: 1_000 }, (_, n) => `key ${n}`)
  const here = keys.filter((key) => partitionOf('default', key, partitions) === 0)
  const elsewhere = keys.find((key) => partitionOf('default', key, partitions) === 1)!
  const count = async (table: string) => (await db.query(`SELECT count(*) FROM ${table}`)).rows[0].count
  await pipeline.send([0, 1].map((n) => note(n, 2 ** 20 / partitions / 2, here[n])))
  await until('both are parked', async () => (await count('group_parked')) === 2)
  await pipeline.send([note(10, 1, here[2])])
  await until('it is in the log', async () => (await count('processed_events')) === 3)
  await pipeline.send([note(11, 1, elsewhere)])
  await until('an event elsewhere is handled', () => handled.includes(11))
  expect(handled).toEqual([11])
  failing = false
  await until('all are handled', () => handled.length === 4)
  expect(handled.toSorted((a, b) => a - b)).toEqual([0, 1, 10, 11])
}, 60_000)
