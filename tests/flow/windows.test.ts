/** Windows: what they count, when they close, and what is late. Times are seconds after ten o'clock. */
import {
  count,
  defineEvent,
  defineWindow,
  hopping,
  session,
  sum,
  Type,
  tumbling,
  type WindowDefinition,
} from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'

const measured = defineEvent({ type: 'measured', schema: Type.Object({ n: Type.Unknown() }) })
const TEN = Date.parse('2026-01-01T10:00:00Z')

let pipeline: TestPipeline | undefined

afterEach(async () => {
  await pipeline?.stop()
  pipeline = undefined
})

const at = (seconds: number, n: unknown = 1, key = 'k') => ({
  type: 'measured',
  partitionkey: key,
  time: new Date(TEN + seconds * 1_000).toISOString(),
  data: { n },
})

function windowOf(given: Partial<WindowDefinition> = {}): WindowDefinition {
  return defineWindow({
    name: 'w',
    on: ['measured'],
    from: 'earliest',
    window: tumbling('10s'),
    aggregate: { n: count() },
    ...given,
  } as WindowDefinition)
}

async function start(window: WindowDefinition, settings = {}): Promise<TestPipeline> {
  pipeline = await startPipeline([measured], settings, [window])
  await pipeline.startWorker()
  return pipeline
}

/** Start, end and result of the closed windows. */
async function results(name = 'w') {
  const { rows } = await pipeline!.db.query(
    `SELECT key, extract(epoch FROM start_at)::float8 * 1000 - ${TEN} AS start,
            extract(epoch FROM end_at)::float8 * 1000 - ${TEN} AS "end", result
     FROM window_results JOIN consumer_groups USING (group_id, generation) WHERE name = $1 ORDER BY start_at, key`,
    [name],
  )
  return rows.map((row) => [row.start / 1_000, row.end / 1_000, row.result])
}

async function untilResults(number: number) {
  await until(`there are ${number} results`, async () => (await results()).length >= number)
  return results()
}

async function handledAll() {
  const { rows } = await pipeline!.db.query(
    `SELECT (SELECT max(position) FROM processed_events) AS last, (SELECT max(position) FROM group_cursors) AS cursor,
            (SELECT count(*) FROM raw_events) - (SELECT count(*) FROM processed_events) AS left`,
  )
  return rows[0].left === 0 && rows[0].cursor >= rows[0].last
}

async function late() {
  const { rows } = await pipeline!.db.query(
    `SELECT extract(epoch FROM occurred_at)::float8 * 1000 - ${TEN} AS at,
            extract(epoch FROM watermark)::float8 * 1000 - ${TEN} AS watermark FROM late_events ORDER BY seq`,
  )
  return rows.map((row) => [row.at / 1_000, row.watermark / 1_000])
}

test('a window counts its events once, and closes when the watermark reaches its end', async () => {
  await start(windowOf())
  await pipeline!.send([at(0), at(9.999), at(10)])
  expect(await untilResults(1)).toEqual([[0, 10, { n: 2 }]])
  const { rows } = await pipeline!.db.query('SELECT start_at::text, state FROM window_state')
  expect(rows).toEqual([{ start_at: String((TEN + 10_000) * 1_000), state: { n: 1 } }])
})

test('events may be out of order by as much as is allowed', async () => {
  await start(windowOf({ time: { outOfOrderness: '5s' } }))
  await pipeline!.send([at(1), at(12), at(8), at(15)])
  expect(await untilResults(1)).toEqual([[0, 10, { n: 2 }]])
})

test.each([[[3]], [[2, 1]], [[1, 1, 1]]])(
  'a late event is a row, however events fall into batches: %j',
  async (sizes) => {
    await start(windowOf({ time: { outOfOrderness: '5s' } }))
    const events = [at(1), at(15), at(9)]
    for (const size of sizes) {
      await pipeline!.send(events.splice(0, size))
      await until('all is read', handledAll)
    }
    await until('there is a late event', async () => (await late()).length > 0)
    expect(await late()).toEqual([[9, 10]])
    expect(await untilResults(1)).toEqual([[0, 10, { n: 1 }]])
  },
)

test('hopping windows share their events', async () => {
  await start(
    windowOf({ window: hopping('10s', { every: '5s' }), aggregate: { n: sum(({ data }) => Number(data.n)) } }),
  )
  await pipeline!.send([at(7, 1), at(11, 2), at(20, 3), at(60)])
  expect(await untilResults(5)).toEqual([
    [0, 10, { n: 1 }],
    [5, 15, { n: 3 }],
    [10, 20, { n: 2 }],
    [15, 25, { n: 3 }],
    [20, 30, { n: 3 }],
  ])
})

test('sessions grow and merge until there is a gap', async () => {
  await start(windowOf({ window: session({ gap: '10s' }), time: { outOfOrderness: '30s' } }))
  await pipeline!.send([at(0), at(15), at(8), at(100)])
  expect(await untilResults(1)).toEqual([[0, 15, { n: 3 }]])
})

test('an event that an aggregate refuses is a dead letter, and the others count', async () => {
  await start(windowOf({ aggregate: { n: sum(({ data }) => data.n as number) } }))
  await pipeline!.send([at(1, 1), at(2, 'no number'), at(3, 5), at(20)])
  expect(await untilResults(1)).toEqual([[0, 10, { n: 6 }]])
  const { rows } = await pipeline!.db.query('SELECT error_class, message, status FROM group_dead_letters')
  expect(rows).toEqual([
    {
      error_class: 'PermanentError',
      message: expect.stringContaining("aggregate 'n': the function of sum returned"),
      status: 'open',
    },
  ])
})
