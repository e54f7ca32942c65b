/** Many windows close at once: in pieces, and what comes in between is late. */
import { partitionOf } from '@eventflow/core'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, expect, test } from '@jest/globals'
import { at, lateEvents, measured, untilRead, windowOf } from './windows.fixture.js'

const KEYS = 100_000
const TOGETHER = 1_000

let pipeline: TestPipeline

afterAll(() => pipeline.stop())

test('100,000 keys close, and an event that comes between the pieces is late', async () => {
  pipeline = await startPipeline([measured], { EVENTFLOW_BATCH_LIMIT: String(TOGETHER) }, [windowOf()])
  await pipeline.startWorker()
  for (let first = 0; first < KEYS; first += TOGETHER) {
    const keys = Array.from({ length: TOGETHER }, (_, n) => `key ${first + n}`)
    await pipeline.send(keys.map((key) => at(1, 1, 'measured', key)))
  }
  await untilRead(pipeline, 120_000)
  const closing = Array.from({ length: pipeline.partitions }, (_, partition) => keyOf(partition))
  await pipeline.send(closing.map((key) => at(15, 1, 'measured', key)))
  const closed = async () => (await pipeline.db.query('SELECT count(*) FROM window_results')).rows[0].count
  await until('some windows are closed', async () => (await closed()) > 0, 60_000)
  await pipeline.send([at(2, 1, 'measured', 'key 0')])
  await until('all are closed', async () => (await closed()) >= KEYS, 120_000)
  await untilRead(pipeline)
  expect(await closed()).toBe(KEYS)
  const { rows } = await pipeline.db.query(
    'SELECT count(DISTINCT key) AS keys, sum((result->>$1)::int) AS n FROM window_results',
    ['n'],
  )
  expect(rows).toEqual([{ keys: KEYS, n: KEYS }])
  expect(await lateEvents(pipeline)).toEqual([[2, 15]])
}, 300_000)

/** A key of each partition that no other event has. */
function keyOf(partition: number): string {
  for (let n = 0; ; n++)
    if (partitionOf('default', `later ${n}`, pipeline.partitions) === partition) return `later ${n}`
}
