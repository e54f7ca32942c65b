/** A feed that is interrupted in one partition: what was read of the others in the same read stays in order. */
import { type Feed, partitionOf } from '@eventflow/core'
import { startPipeline, until } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'
import step from '../events/fault-step.js'

/** A feed that says, with the next read that brings entries, that this partition was interrupted meanwhile. */
function interruptOnce(feed: Feed, partition: number, armed: () => boolean): Feed {
  let tell: (partitions: readonly number[]) => void = () => {}
  let done = false
  return {
    ...feed,
    onInterrupted(listener) {
      tell = listener
      feed.onInterrupted(listener)
    },
    async read(partitions, options) {
      const reading = await feed.read(partitions, options)
      if (armed() && !done && reading.entries.length > 0) {
        done = true
        tell([partition])
      }
      return reading
    },
  }
}

test('an event whose read is not used, because another partition was interrupted, is not overtaken', async () => {
  const pipeline = await startPipeline([step], { EVENTFLOW_LANES: '1' })
  const { partitions } = pipeline
  const elsewhere = Array.from({ length: partitions }, (_, n) => n).find(
    (n) => n !== partitionOf('default', 'k', partitions),
  )!
  const send = (n: number) => pipeline.send([{ type: 'fault.step', data: { key: 'k', n } }])
  const settled = async () => (await pipeline.db.query('SELECT n FROM effects ORDER BY at')).rows.map(({ n }) => n)
  let armed = false
  try {
    await pipeline.startWorker('worker-1', (feed) => interruptOnce(feed, elsewhere, () => armed))
    await send(0)
    await pipeline.drained()
    armed = true
    await send(1)
    await send(2)
    await until('the last event is settled', async () => (await settled()).includes(2))
    await pipeline.drained(20_000)
    expect(await settled()).toEqual([0, 1, 2])
  } finally {
    await pipeline.stop()
  }
})
