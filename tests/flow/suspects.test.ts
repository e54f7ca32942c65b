/** A suspect whose worker has lived, though it could not settle it: no crash is counted for it. */
import { defineEvent, type Enricher, Type } from '@eventflow/pipeline'
import { startPipeline } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

test('a suspect that is fenced off is as suspect as it was', async () => {
  let meet: () => Promise<void> = async () => {}
  const meeting: Enricher = {
    name: 'meeting',
    async enrich(events) {
      await meet()
      return events.map(() => ({}))
    },
  }
  const pipeline = await startPipeline([
    defineEvent({ type: 'step.done', schema: Type.Object({}), enrich: [meeting], handle: async () => {} }),
  ])
  const { items } = await pipeline.send([{ type: 'step.done', data: {} }])
  const id = items[0]!.id
  // As if one worker had died with it alone in hand.
  await pipeline.db.query(
    `INSERT INTO retries (tenant_id, event_id, partition, attempts, due_at, crashes)
     SELECT tenant_id, event_id, partition, 0, now(), 1 FROM raw_events WHERE event_id = $1`,
    [id],
  )
  const crashes: number[] = []
  meet = async () => {
    const { rows } = await pipeline.db.query('SELECT crashes FROM retries WHERE event_id = $1', [id])
    crashes.push(rows[0].crashes)
    if (crashes.length < 4) await pipeline.db.query('UPDATE partitions SET owner = NULL, epoch = epoch + 1')
  }
  await pipeline.startWorker()
  await pipeline.drained()
  expect(crashes).toEqual([2, 2, 2, 2])
  await pipeline.stop()
})
