/** A new version of a join goes on where the former one was: what that one had not emitted is emitted once. */
import { partitionOf } from '@eventflow/core'
import { defineEvent, defineJoin, type JoinDefinition, Type } from '@eventflow/sdk'
import { sessionsWaiting, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'
import { startNeverShown, untilShown, whileHeld } from './versions.fixture.js'
import { at, untilRead } from './windows.fixture.js'

const definitions = ['L', 'R', 'out'].map((type) => defineEvent({ type, schema: Type.Object({}) }))
const seconds = (time: string | undefined) => (time ? (Date.parse(time) - Date.parse(at(0).time)) / 1_000 : null)
const within = { before: '0s', after: '10s' }

const joinOf = (given: Partial<JoinDefinition>) =>
  defineJoin({
    ...{ name: 'j', left: 'L', right: 'R', within, from: 'earliest', emit: 'out' },
    select: (left, right) => ({ left: seconds(left?.occurredAt), right: seconds(right?.occurredAt) }),
    ...given,
  } as JoinDefinition)

const pipelines: TestPipeline[] = []

afterEach(async () => {
  for (const pipeline of pipelines.splice(0).reverse()) await pipeline.stop()
})

async function open(join: Partial<JoinDefinition>, former?: TestPipeline): Promise<TestPipeline> {
  const settings = former && { DATABASE_URL: former.databaseUrl }
  const pipeline = await startPipeline(definitions, settings, [joinOf(join)])
  pipelines.push(pipeline)
  return pipeline
}

/** Reads the log with another version until people see what that has built. */
async function renew(former: TestPipeline, join: Partial<JoinDefinition>): Promise<TestPipeline> {
  const pipeline = await open({ version: 2, ...join }, former)
  await pipeline.startWorker()
  await untilShown(pipeline)
  return pipeline
}

/** The seconds of the two events of each pair that was emitted, in order. */
async function emitted({ db }: TestPipeline) {
  const { rows } = await db.query(`SELECT payload FROM raw_events WHERE type = 'out' ORDER BY seq`)
  return rows.map(({ payload: { left, right } }) => [left, right])
}

/** A key in the partition of `k`: they share event time. */
function otherKey({ partitions }: TestPipeline): string {
  const partition = (key: string) => partitionOf('default', key, partitions)
  return Array.from({ length: 1_000 }, (_, n) => `key ${n}`).find((key) => partition(key) === partition('k'))!
}

const L = (when: number, key = 'k') => at(when, 1, 'L', key)
const R = (when: number, key = 'k') => at(when, 1, 'R', key)

/** Lets the watermark reach a time; the worker is gone before it has removed the rows that wait for that. */
async function passedOnly(pipeline: TestPipeline, join: { events: object[]; passing: object }): Promise<void> {
  const { db } = pipeline
  const worker = await pipeline.startWorker()
  await pipeline.send(join.events)
  await untilRead(pipeline)
  await whileHeld(pipeline, 'SELECT FROM join_rows FOR UPDATE', async () => {
    await pipeline.send([join.passing])
    await until('it waits to remove them', async () => (await sessionsWaiting(db)).length > 0)
    await worker.stop()
  })
}

test('an event that nothing was joined with is emitted alone by the new version, once', async () => {
  const former = await open({ kind: 'left' })
  await passedOnly(former, { events: [L(0), R(3), L(4), L(5)], passing: L(60, otherKey(former)) })
  expect(await emitted(former)).toEqual([[0, 3]])
  const next = await renew(former, { kind: 'left' })
  expect(await emitted(next)).toEqual([
    [0, 3],
    [4, null],
    [5, null],
  ])
  await next.send([L(100, otherKey(former))])
  await untilRead(next)
  expect(await emitted(next)).toEqual([
    [0, 3],
    [4, null],
    [5, null],
    [60, null],
  ])
}, 120_000)

test.each(['latest', 'all'] as const)(
  'a pair that was decided and not emitted is emitted once, with match: %s',
  async (match) => {
    const latest = { match: 'latest', within: {}, time: { outOfOrderness: '5s' } } as const
    const former = await open(latest)
    await passedOnly(former, {
      events: [L(0), R(1), L(10, otherKey(former)), R(9)],
      passing: R(60, otherKey(former)),
    })
    expect(await emitted(former)).toEqual([[0, 1]])
    const next = await renew(former, { ...latest, ...(match === 'all' && { match, within }) })
    expect(await emitted(next)).toEqual([
      [0, 1],
      [0, 9],
    ])
  },
  60_000,
)

test('a batch of the former version that is being written ends before the new one begins', async () => {
  const former = await open({ kind: 'left' })
  const { db } = former
  await former.startWorker()
  const next = await open({ kind: 'left', version: 2 }, former)
  let starting: Promise<unknown> | undefined
  await whileHeld(former, 'LOCK join_rows IN EXCLUSIVE MODE', async () => {
    await former.send([L(0), R(3)])
    await until('the batch waits', async () => (await sessionsWaiting(db)).length > 0)
    starting = next.startWorker()
    await until('the new version waits, too', async () => (await sessionsWaiting(db)).length > 1, 2_000).catch(() => {})
  })
  await starting
  await untilShown(next)
  await next.send([L(60)])
  await untilRead(next)
  expect(await emitted(next)).toEqual([[0, 3]])
}, 120_000)

test('a version that replaces one which was never shown repeats nothing that this one has emitted', async () => {
  const former = await open({ kind: 'left' })
  await (await readAll(former, [L(0), R(3)])).stop()
  const never = await open({ kind: 'left', version: 2 }, former)
  const worker = await startNeverShown(never)
  await never.send([L(10), R(12), L(30)])
  await until('it emits', async () => (await emitted(never)).length === 2)
  await worker.stop()
  const next = await open({ kind: 'left', version: 3 }, former)
  await next.startWorker()
  await untilShown(next, 3)
  await next.send([L(60)])
  await untilRead(next)
  expect(await emitted(next)).toEqual([
    [0, 3],
    [10, 12],
    [30, null],
  ])
}, 120_000)

async function readAll(pipeline: TestPipeline, events: object[]) {
  const worker = await pipeline.startWorker()
  await pipeline.send(events)
  await untilRead(pipeline)
  return worker
}
