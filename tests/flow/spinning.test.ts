/** Code that never yields: its worker ends itself, so that it is restarted. */
import { join } from 'node:path'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import step from '../deadly-events/deadly-step.js'

const EVENTS = join(import.meta.dirname, '../deadly-events')

let pipeline: TestPipeline

beforeAll(async () => {
  pipeline = await startPipeline([step])
})

afterAll(() => pipeline.stop())

test('a worker stuck in a definition’s code ends itself, and logs the place', async () => {
  const worker = await pipeline.startWorkerProcess('a', EVENTS, { EVENTFLOW_STALLED_LOOP_SECONDS: '2' })
  await pipeline.send([{ type: 'deadly.step', partitionkey: 'k', data: { n: 1, mood: 'spin' } }])
  expect(await worker.exited).toBe('signal SIGKILL')
  expect(JSON.parse(worker.lines.at(-1)!)).toMatchObject({
    level: 'fatal',
    worker_id: 'a',
    msg: expect.stringMatching(
      /^exiting: the event loop was blocked for 2 s by spinForEver \(.*deadly-step\.js:\d+:\d+\)$/,
    ),
  })
  await pipeline.db.query('DELETE FROM raw_events')
})

test('a worker that was suspended as a whole for longer than that continues', async () => {
  const worker = await pipeline.startWorkerProcess('b', EVENTS, { EVENTFLOW_STALLED_LOOP_SECONDS: '3' })
  worker.kill('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 3_500))
  worker.kill('SIGCONT')
  await pipeline.send([{ type: 'deadly.step', partitionkey: 'k', data: { n: 100 } }])
  await until('it works', async () => {
    return (await pipeline.db.query('SELECT FROM deadly_effects WHERE n = 100')).rows.length === 1
  })
  expect(worker.lines.join('\n')).not.toContain('exiting: ')
}, 30_000)
