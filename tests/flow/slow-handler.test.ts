/** A handler whose statement always takes too long: Postgres may be slow for a while, but not because of one event. */
import { defineEvent, Type } from '@eventflow/pipeline'
import { startPipeline } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'

const report = defineEvent({
  type: 'report.asked',
  schema: Type.Object({ seconds: Type.Number() }),
  key: () => 'reports',
  retry: { attempts: 1 },
  async handle({ data }, tx) {
    await tx.query('SET LOCAL statement_timeout = 100')
    await tx.query('SELECT pg_sleep($1)', [data.seconds])
  },
})

test('it is dead in the end, and its neighbours are not', async () => {
  const pipeline = await startPipeline([report])
  await pipeline.startWorker()
  await pipeline.send([0, 0, 10, 0].map((seconds) => ({ type: 'report.asked', data: { seconds } })))
  await pipeline.drained(30_000)
  const { rows } = await pipeline.db.query(
    `SELECT (payload->>'seconds')::integer AS seconds, status, message FROM events`,
  )
  const message = 'canceling statement due to statement timeout'
  const processed = { seconds: 0, status: 'processed', message: null }
  expect(rows).toHaveLength(4)
  expect(rows).toEqual(expect.arrayContaining([processed, { seconds: 10, status: 'failed', message }]))
  expect(rows.filter(({ status }) => status === 'processed')).toEqual([processed, processed, processed])
  await pipeline.stop()
})
