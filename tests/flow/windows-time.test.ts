/** Event time passes by proof: what waits holds it back, and a pause lets it pass. */
import { partitionOf } from '@eventflow/core'
import { markDirty, resetConsumerGroup } from '@eventflow/db'
import { defineEvent, session, Type, UnavailableError } from '@eventflow/sdk'
import { acceptEvents, newEvent, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { at, lateEvents, resultsOf, timeAt, untilRead, untilResults, windowOf } from './windows.fixture.js'

const schema = Type.Object({ n: Type.Unknown() })
const types = ['quiet', 'session', 'never', 'tenants', 'again'].map((type) => defineEvent({ type, schema }))

let isAway = true
const waiting = defineEvent({
  ...{ type: 'waiting', schema },
  enrich: [
    {
      name: 'asks',
      enrich: async (events) =>
        events.map(({ data }) => (data.n === 'waits' && isAway ? new UnavailableError('it') : {})),
    },
  ],
})

let pipeline: TestPipeline
/** Two keys of one partition, and one of another. */
let keys: { x: string; y: string; elsewhere: string }

beforeAll(async () => {
  const soon = { idle: '1s' }
  pipeline = await startPipeline([...types, waiting], {}, [
    windowOf({ name: 'quiet', on: ['quiet'], time: soon }),
    windowOf({ name: 'session', on: ['session'], window: session({ gap: '10s' }), time: soon }),
    windowOf({ name: 'never', on: ['never'], time: { idle: 'never' } }),
    windowOf({ name: 'waiting', on: ['waiting'], time: { outOfOrderness: '5s' } }),
    windowOf({ name: 'tenants', on: ['tenants'] }),
    windowOf({ name: 'again', on: ['again'] }),
  ])
  await pipeline.startWorker()
  const all = Array.from({ length: 1_000 }, (_, n) => `key ${n}`)
  const partition = (key: string) => partitionOf('default', key, pipeline.partitions)
  const [x, y] = all.filter((key) => partition(key) === 0) as [string, string]
  keys = { x, y, elsewhere: all.find((key) => partition(key) === 1)! }
})

afterAll(() => pipeline.stop())

test('a window closes without later events once a pause is proven, and only in its partition', async () => {
  await pipeline.send([at(1, 1, 'quiet', keys.x), at(1, 1, 'session', keys.x), at(1, 1, 'never', keys.x)])
  await until('the quiet partition has its result', async () => {
    await pipeline.send([at(2, 1, 'quiet', keys.elsewhere)])
    return (await resultsOf(pipeline, 'quiet')).length > 0
  })
  expect(await resultsOf(pipeline, 'quiet')).toEqual([[0, 10, { n: 1 }]])
  expect(await untilResults(pipeline, 1, 'session')).toEqual([[1, 1, { n: 1 }]])
  expect(await resultsOf(pipeline, 'never')).toEqual([])
})

test('an event that waits is not late, though others pass it', async () => {
  await pipeline.send([at(4, 'waits', 'waiting', keys.y), at(16, 1, 'waiting', keys.x)])
  const settled = `SELECT FROM processed_events WHERE type = 'waiting'`
  await until('the other event is settled', async () => (await pipeline.db.query(settled)).rowCount === 1)
  isAway = false
  await untilRead(pipeline)
  await pipeline.send([at(40, 1, 'waiting', keys.x)])
  await untilRead(pipeline)
  expect(await resultsOf(pipeline, 'waiting')).toEqual([
    [0, 10, { n: 1 }],
    [10, 20, { n: 1 }],
  ])
  expect(await lateEvents(pipeline, 'waiting')).toEqual([])
})

test('tenants share no window, and no time', async () => {
  const event = (tenantId: string, seconds: number) =>
    newEvent({ tenantId, type: 'tenants', key: 'k', occurredAt: timeAt(seconds), payload: '{"n":1}' })
  await acceptEvents(pipeline.db, [event('a', 1), event('b', 2), event('a', 30)])
  await markDirty(pipeline.db, [0])
  await untilRead(pipeline)
  const { rows } = await pipeline.db.query(
    `SELECT r.tenant_id, result FROM window_results r JOIN consumer_groups USING (group_id) WHERE name = 'tenants'`,
  )
  expect(rows).toEqual([{ tenant_id: 'a', result: { n: 1 } }])
})

test('a reset forgets what was counted, and counts again', async () => {
  await pipeline.send([at(1, 1, 'again'), at(2, 1, 'again'), at(15, 1, 'again'), at(3, 1, 'again')])
  await untilRead(pipeline)
  const before = { results: await resultsOf(pipeline, 'again'), late: await lateEvents(pipeline, 'again') }
  expect(before).toEqual({ results: [[0, 10, { n: 2 }]], late: [[3, 15]] })
  const group = { tenantId: 'default', name: 'again' }
  await resetConsumerGroup(pipeline.db, { ...group, by: 'test', to: 'latest', emitNew: false })
  await until('it is reset', async () => (await resultsOf(pipeline, 'again')).length === 0)
  await resetConsumerGroup(pipeline.db, { ...group, by: 'test', to: 'earliest', emitNew: false })
  await untilResults(pipeline, 1, 'again')
  await untilRead(pipeline)
  expect({ results: await resultsOf(pipeline, 'again'), late: await lateEvents(pipeline, 'again') }).toEqual(before)
})
