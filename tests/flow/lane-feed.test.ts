/** How a lane uses its feed when it is asked to stop, or to give a partition back. */
import type { Feed } from '@eventflow/core'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

/** Something that waits until it is opened. */
function createGate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened, reached: false }
}

let pipeline: TestPipeline

beforeEach(async () => {
  pipeline = await startPipeline([step], { EVENTFLOW_LANES: '1' })
})

afterEach(() => pipeline.stop())

test('a lane that is asked to stop takes nothing more from its feed', async () => {
  const gate = createGate()
  let stopped = false
  let readsAfterStop = 0
  const worker = await pipeline.startWorker('worker-1', (feed: Feed) => ({
    ...feed,
    // Between two batches the lane looks for what was never published.
    async firstUnread(partitions) {
      gate.reached = true
      await gate.opened
      return feed.firstUnread(partitions)
    },
    read(partitions, options) {
      if (stopped) readsAfterStop++
      return feed.read(partitions, options)
    },
  }))
  await until('the lane is between two batches', () => gate.reached)
  stopped = true
  const stopping = worker.stop()
  gate.open()
  await stopping
  expect(readsAfterStop).toBe(0)
})

test('a partition is given back when its feed is released, not before', async () => {
  const gate = createGate()
  const released: number[] = []
  const ownerOf = async (id: number) =>
    (await pipeline.db.query('SELECT owner FROM partitions WHERE id = $1', [id])).rows[0].owner
  await pipeline.startWorker('worker-1', (feed: Feed) => ({
    ...feed,
    async release(partition) {
      released.push(partition)
      await gate.opened
      await feed.release(partition)
    },
  }))
  const owned = async () =>
    Number((await pipeline.db.query(`SELECT count(*) FROM partitions WHERE owner = 'worker-1'`)).rows[0].count)
  await until('it owns all partitions', async () => (await owned()) === pipeline.partitions)
  await pipeline.startWorker('worker-2')
  await until('its share is to be given back', () => released.length === pipeline.partitions / 2)
  // A request through the service: in this time a partition could be given back too early.
  await pipeline.send([{ type: 'fault.step', data: { key: 'k', n: 1 } }])
  expect(await Promise.all(released.map(ownerOf))).toEqual(released.map(() => 'worker-1'))
  gate.open()
  await until('the other worker has them', async () =>
    (await Promise.all(released.map(ownerOf))).every((owner) => owner === 'worker-2'),
  )
})
