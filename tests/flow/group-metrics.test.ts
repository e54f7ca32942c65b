/** The metrics of consumer groups agree with what happens to them. */
import { deleteConsumerGroup, pauseConsumerGroup } from '@eventflow/db'
import { type AcceptedEvent, defineConsumer, defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const step = defineEvent({ type: 'step.done', schema: Type.Object({ n: Type.Integer() }) })

const group = defineConsumer<{ n: number }>({
  name: 'invoicing',
  events: ['step.done'],
  from: 'earliest',
  retry: { attempts: 2, baseDelayMs: 1, maxDelayMs: 1 },
  handle: async ({ data }: AcceptedEvent<{ n: number }>) => {
    if (data.n === 4) throw new TypeError('never')
  },
})

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([step], {}, [group])
})

afterAll(() => pipeline.stop())

const asked = { tenantId: 'default', name: 'invoicing', by: 'ada' }
const send = (count: number) =>
  pipeline.send(Array.from({ length: count }, (_, n) => ({ type: 'step.done', partitionkey: `${n}`, data: { n } })))

/** The gauges of the group by their names; empty if there are none. */
async function gauges(): Promise<Record<string, number>> {
  const text = await (await fetch(`${pipeline.url}/metrics`)).text()
  const lines = text.matchAll(/^eventflow_group_(\w+)\{group="invoicing",service="ingest"\} (\S+)$/gm)
  return Object.fromEntries([...lines].map(([, name, value]) => [name, Number(value)]))
}

const untilGauges = (what: string, is: (now: Record<string, number>) => boolean) =>
  until(what, async () => {
    const now = await gauges()
    return is(now) && now
  })

test('there are none without a group', async () => {
  expect(await gauges()).toEqual({})
})

test('a worker counts from 0, and then what its group has handled', async () => {
  const worker = await pipeline.startWorker()
  const read = async () => {
    const text = await worker.metrics.registry.metrics()
    const lines = text.matchAll(/^eventflow_group_(\w+)\{.*?group="invoicing",?(?:outcome="(\w+)",)?.*\} (\S+)$/gm)
    return Object.fromEntries([...lines].map(([, name, outcome, value]) => [outcome ?? name, Number(value)]))
  }
  expect(await read()).toMatchObject({ processed: 0, failed: 0, retried: 0, batch_duration_seconds_count: 0 })
  await send(7)
  await until('all are handled', async () => (await read()).failed === 1)
  await until('all are counted', async () => (await read()).processed === 6)
  expect(await read()).toMatchObject({ retried: 1 })
  expect((await read()).batch_duration_seconds_count).toBeGreaterThan(0)
  expect(await untilGauges('the dead letter is seen', (now) => now.dead_letters_open === 1)).toEqual({
    ...{ lag_events: 0, lag_seconds: 0, parked_events: 0, dead_letters_open: 1, paused: 0, partitions_unowned: 0 },
  })
  await pauseConsumerGroup(pipeline.db, { ...asked, reason: 'a test' })
  // The worker notices the pause a moment later.
  await until('it is behind', async () => {
    await send(1)
    const { paused, lag_events: events, lag_seconds: seconds } = await gauges()
    return paused === 1 && events! > 0 && seconds! > 0
  })
  await worker.stop()
})

test('ingest shows that no worker reads a group, until the group is deleted', async () => {
  await untilGauges('nobody reads it', (now) => now.partitions_unowned === pipeline.partitions)
  await deleteConsumerGroup(pipeline.db, asked)
  await untilGauges('nothing is left', (now) => Object.keys(now).length === 0)
})
