/**
 * A worker that lost the lease of a partition while it processed its events writes nothing of them: no final state and
 * no retry.
 */
import { defineEvent, PermanentError, TransientError, Type } from '@eventflow/sdk'
import { startPipeline } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

test.each([
  ['dead', () => new PermanentError('not this time')],
  ['tried again', () => new TransientError('not this time')],
  ['processed', () => undefined],
])('an event that was to be %s', async (_, errorOf) => {
  let runs = 0
  const step = defineEvent({
    type: 'step.done',
    schema: Type.Object({}),
    enrich: [
      {
        name: 'losing the lease',
        async enrich(events) {
          if (runs++ > 0) return events.map(() => ({ n: 2 }))
          await pipeline.db.query('UPDATE partitions SET owner = NULL, epoch = epoch + 1')
          const error = errorOf()
          if (error) throw error
          return events.map(() => ({ n: 1 }))
        },
      },
    ],
  })
  const pipeline = await startPipeline([step], { EVENTFLOW_LANES: '1' })
  await pipeline.send([{ type: 'step.done', data: {} }])
  const worker = await pipeline.startWorker()
  await pipeline.drained()
  const { rows } = await pipeline.db.query('SELECT attempts, payload FROM processed_events')
  expect(rows).toEqual([{ attempts: 1, payload: { n: 2 } }])
  expect((await worker.metrics.fencedWrites.get()).values[0]!.value).toBe(1)
  await pipeline.stop()
})
