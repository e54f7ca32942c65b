/** The watermark: every event up to it is settled or waits in `retries`, also after failures. */
import { partitionOf } from '@eventflow/core'
import { defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, until, whileLocked } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

const step = defineEvent({
  type: 'step.done',
  schema: Type.Object({ key: Type.String(), n: Type.Integer() }),
  key: ({ key }) => key,
  retry: { attempts: 2, baseDelayMs: 3_600_000, maxDelayMs: 3_600_000 },
  enrich: [
    {
      name: 'patience',
      enrich: (events) => events.map(({ data }) => (data.key === 'held' ? new Error('not yet') : {})),
    },
  ],
})

test('it stops before an event that waits for another, also when its batch was settled at the second try', async () => {
  const pipeline = await startPipeline([step])
  await pipeline.startWorker()
  // Events from Postgres are written to `retries` when their partition returns to the stream, so the watermark may pass
  // them.
  await until('the streams are in use', async () => {
    return (await pipeline.db.query('SELECT FROM partitions WHERE redis_run_id IS NULL')).rowCount === 0
  })
  const partition = partitionOf('default', 'held', pipeline.partitions)
  const beside = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's'].find(
    (key) => partitionOf('default', key, pipeline.partitions) === partition,
  )!
  const event = (key: string, n: number) => ({ type: 'step.done', data: { key, n } })
  await whileLocked(pipeline.db, 'retries', async () => {
    await pipeline.send([event('held', 0), event('held', 1), event(beside, 0)])
    await until('the batch could not be settled', async () =>
      pipeline.logged.some(({ msg }) => msg.startsWith('settling failed')),
    )
  })
  const settled = async () => {
    const { rows } = await pipeline.db.query('SELECT settled_seq FROM partitions WHERE id = $1', [partition])
    return Number(rows[0].settled_seq)
  }
  const { rows } = await pipeline.db.query('SELECT seq FROM raw_events ORDER BY seq')
  const [first, second] = rows.map(({ seq }) => Number(seq)) as [number, number]
  await until('the watermark has moved on', async () => (await settled()) >= first, 20_000)
  expect(await settled()).toBe(second - 1)
  await pipeline.stop()
})
