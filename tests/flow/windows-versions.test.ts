/** A new version of a window goes on where the former one was: what that one had not emitted is emitted once. */
import type { WindowDefinition } from '@eventflow/sdk'
import { sessionsWaiting, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'
import { startNeverShown, untilShown, whileHeld } from './versions.fixture.js'
import { at, counted, measured, timeAt, untilRead, windowOf } from './windows.fixture.js'

const pipelines: TestPipeline[] = []

afterEach(async () => {
  for (const pipeline of pipelines.splice(0).reverse()) await pipeline.stop()
})

async function open(window: Partial<WindowDefinition>, former?: TestPipeline): Promise<TestPipeline> {
  const settings = former && { DATABASE_URL: former.databaseUrl }
  const pipeline = await startPipeline([measured, counted], settings, [windowOf({ emit: 'counted', ...window })])
  pipelines.push(pipeline)
  return pipeline
}

/** Start and count of each window that was emitted, in order. */
async function emitted({ db }: TestPipeline) {
  const { rows } = await db.query(`SELECT payload FROM raw_events WHERE type = 'counted' ORDER BY seq`)
  return rows.map(({ payload }) => [payload.start, payload.n])
}

test('a version that replaces one which was never shown emits what this one has left open', async () => {
  const former = await open({})
  const first = await former.startWorker()
  await former.send([at(1), at(12)])
  await untilRead(former)
  await first.stop()

  const never = await open({ version: 2 }, former)
  const second = await startNeverShown(never)
  await never.send([at(13)])
  await until('it has read beyond the former version', async () => {
    const { rows } = await never.db.query(
      `SELECT FROM group_cursors c JOIN processed_events p USING (partition)
       WHERE generation = 2 AND occurred_at = $1 AND c.position >= p.position`,
      [timeAt(13)],
    )
    return rows.length === 1
  })
  await whileHeld(never, 'SELECT FROM window_state FOR UPDATE', async () => {
    await never.send([at(30)])
    await until('it waits to close', async () => (await sessionsWaiting(never.db)).length > 0)
    await second.stop()
  })
  expect(await emitted(never)).toEqual([[timeAt(0), 1]])

  const next = await open({ version: 3 }, former)
  await next.startWorker()
  await untilShown(next, 3)
  await next.send([at(60)])
  await untilRead(next)
  expect(await emitted(next)).toEqual([
    [timeAt(0), 1],
    [timeAt(10), 2],
    [timeAt(30), 1],
  ])
}, 120_000)
