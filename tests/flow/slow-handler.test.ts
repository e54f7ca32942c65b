/** A handler whose statement always takes too long: Postgres may be slow for a while, but not because of one event. */
import { defineEvent, type EventDefinition, Type } from '@eventflow/sdk'
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

test('it is finally dead-lettered, and its neighbours are not', async () => {
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

type Handler = NonNullable<EventDefinition['handle']>

/** The outcomes of three events, by their `n`, with this handler: `status`, `attempts` and `message`. */
async function outcomes(handle: Handler, settings: Record<string, string>) {
  const step = defineEvent({
    type: 'step.done',
    schema: Type.Object({ n: Type.Integer() }),
    retry: { attempts: 2, baseDelayMs: 10 },
    handle,
  })
  const pipeline = await startPipeline([step], { EVENTFLOW_LANES: '1', ...settings })
  try {
    await pipeline.send([0, 1, 2].map((n) => ({ type: 'step.done', data: { n } })))
    await pipeline.startWorker()
    await pipeline.drained()
    const { rows } = await pipeline.db.query(
      `SELECT status, attempts, message FROM events ORDER BY (payload->>'n')::integer`,
    )
    return rows
  } finally {
    await pipeline.stop()
  }
}

const processed = { status: 'processed', attempts: 1, message: null }

test('a statement that takes too long once costs no attempt', async () => {
  let isSlow = true
  const handle: Handler = async ({ data }, tx) => {
    if (data.n !== 1 || !isSlow) return
    isSlow = false
    await tx.query('SELECT pg_sleep(60)')
  }
  const settings = { EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '0.5' }
  expect(await outcomes(handle, settings)).toEqual([processed, processed, processed])
})

test('one that takes the time of a whole transaction, even alone, is dead-lettered, and its neighbours are not', async () => {
  const settings = { EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '0.5', EVENTFLOW_TRANSACTION_TIMEOUT_SECONDS: '0.5' }
  const handle: Handler = ({ data }) => (data.n === 1 ? new Promise(() => {}) : Promise.resolve())
  expect(await outcomes(handle, settings)).toEqual([
    processed,
    { status: 'failed', attempts: 2, message: 'the transaction took longer than 0.5 s' },
    processed,
  ])
})
