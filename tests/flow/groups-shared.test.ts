/** Who reads a consumer group: workers of the pipeline, workers that read only some groups, or no worker. */
import { partitionOf } from '@eventflow/core'
import { findGroup, resetConsumerGroup } from '@eventflow/db'
import { type ConsumerDefinition, defineConsumer, defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'

const counted = defineEvent({ type: 'counted', schema: Type.Object({ n: Type.Integer() }) })

const reading = (name: string, given: Partial<ConsumerDefinition<{ n: number }>> = {}) =>
  defineConsumer<{ n: number }>({
    name,
    events: ['counted'],
    from: 'earliest',
    prepare: async (tx) => void (await tx.query(`CREATE TABLE IF NOT EXISTS read_by (name text, n integer)`)),
    handle: async ({ data }, tx) => void (await tx.query('INSERT INTO read_by VALUES ($1, $2)', [name, data.n])),
    ...given,
  })

const SETTINGS = { EVENTFLOW_LEASE_SECONDS: '2', EVENTFLOW_LOG_LEVEL: 'info' }

let pipeline: TestPipeline

afterEach(() => pipeline.stop())

async function start(consumers: readonly ConsumerDefinition[]) {
  pipeline = await startPipeline([counted], SETTINGS, consumers)
}

const send = (from: number, count: number) =>
  pipeline.send(Array.from({ length: count }, (_, i) => ({ type: 'counted', data: { n: from + i } })))

async function numbersOf(name: string): Promise<number[]> {
  const { rows } = await pipeline.db.query('SELECT n FROM read_by WHERE name = $1 ORDER BY n', [name])
  return rows.map(({ n }) => n)
}

const untilRead = (name: string, count: number) =>
  until(`${name} has read ${count} events`, async () => (await numbersOf(name)).length >= count)

async function ownersOf(name: string): Promise<string[]> {
  const { rows } = await pipeline.db.query(
    `SELECT DISTINCT owner FROM group_leases JOIN consumer_groups USING (group_id) WHERE name = $1 ORDER BY owner`,
    [name],
  )
  return rows.map(({ owner }) => owner)
}

const untilOwnedBy = (name: string, owners: readonly string[]) =>
  until(`${name} is read by ${owners}`, async () => `${await ownersOf(name)}` === `${owners}`)

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

test('workers that read only some groups take them from the workers of the pipeline, and give them back', async () => {
  await start([reading('apart'), reading('along')])
  await pipeline.startWorker('pipeline')
  await untilOwnedBy('apart', ['pipeline'])
  await send(0, 20)
  await untilRead('apart', 20)
  const [one, two] = [
    await pipeline.startWorker('one', undefined, { EVENTFLOW_GROUPS: 'apart' }),
    await pipeline.startWorker('two', undefined, { EVENTFLOW_GROUPS: 'apart' }),
  ]
  await untilOwnedBy('apart', ['one', 'two'])
  expect(await ownersOf('along')).toEqual(['pipeline'])
  await send(20, 20)
  await untilRead('apart', 40)
  await Promise.all([one.stop(), two.stop()])
  await untilOwnedBy('apart', ['pipeline'])
  await send(40, 20)
  await Promise.all([untilRead('apart', 60), untilRead('along', 60)])
  expect(await numbersOf('apart')).toEqual(numbers(60))
  expect(await numbersOf('along')).toEqual(numbers(60))
})

test('a group that is not defined is named when the worker starts', async () => {
  await start([reading('known')])
  const starting = pipeline.startWorker('one', undefined, { EVENTFLOW_GROUPS: 'known,unknown' })
  await expect(starting).rejects.toThrow(`EVENTFLOW_GROUPS names 'unknown'`)
})

test('a paused group reads nothing until it is resumed, and loses nothing', async () => {
  await start([reading('paused'), reading('running')])
  await pipeline.startWorker()
  await send(0, 10)
  await untilRead('paused', 10)
  const pause = (reason: string | null) =>
    pipeline.db.query(`UPDATE consumer_groups SET paused_for = $1 WHERE name = 'paused'`, [reason])
  await pause('a test')
  await until('the worker has noticed', () =>
    pipeline.logged.some(({ group, reason }) => group === 'paused' && reason === 'a test'),
  )
  await send(10, 10)
  await untilRead('running', 20)
  expect(await numbersOf('paused')).toEqual(numbers(10))
  await pause(null)
  await untilRead('paused', 20)
  expect(await numbersOf('paused')).toEqual(numbers(20))
})

test('a group with onPoison: pause stops at the event, and goes on with it', async () => {
  let works = false
  const consumer = reading('careful', {
    onPoison: 'pause',
    retry: { attempts: 1 },
    handle: async ({ data }, tx) => {
      if (data.n === 3 && !works) throw new Error('not now')
      await tx.query('INSERT INTO read_by VALUES ($1, $2)', ['careful', data.n])
    },
  })
  await start([consumer])
  await pipeline.startWorker()
  await send(0, 4)
  const state = async () => (await pipeline.db.query('SELECT paused_for FROM consumer_groups')).rows[0].paused_for
  await until('the group is paused', async () => (await state()) !== null)
  expect(await state()).toContain(`of type 'counted' cannot be handled: Error: not now`)
  works = true
  await pipeline.db.query('UPDATE consumer_groups SET paused_for = NULL')
  await untilRead('careful', 4)
  expect(await numbersOf('careful')).toEqual(numbers(4))
  expect((await pipeline.db.query('SELECT count(*) FROM group_dead_letters')).rows).toEqual([{ count: 0 }])
})

test('a new version goes on where the old one was, and workers of the old one leave the group to it', async () => {
  await start([reading('versioned')])
  const old = await pipeline.startWorker('old')
  await send(0, 10)
  await untilRead('versioned', 10)
  const { databaseUrl, prefix } = pipeline
  const settings = { ...SETTINGS, DATABASE_URL: databaseUrl, EVENTFLOW_STREAM_PREFIX: prefix }
  const second = await startPipeline([counted], settings, [reading('versioned', { version: 2 })])
  try {
    await second.startWorker('new')
    await until('only the new worker reads', async () => !(await ownersOf('versioned')).includes('old'))
    await send(10, 20)
    await old.stop()
    await untilRead('versioned', 30)
    expect(await numbersOf('versioned')).toEqual(numbers(30))
  } finally {
    await second.stop()
  }
})

test('a group that was deleted is read no more, and begins anew when it is made again', async () => {
  await start([reading('deleted', { from: 'latest' })])
  const worker = await pipeline.startWorker('one')
  await untilOwnedBy('deleted', ['one'])
  await send(0, 10)
  await untilRead('deleted', 10)
  await pipeline.db.query('DELETE FROM consumer_groups')
  await until('the worker has noticed', () => pipeline.logged.some(({ reason }) => reason === 'it was deleted'))
  await send(10, 10)
  await pipeline.drained()
  await worker.stop()
  await pipeline.startWorker('two')
  await untilOwnedBy('deleted', ['two'])
  await send(20, 10)
  await untilRead('deleted', 20)
  expect(await numbersOf('deleted')).toEqual([...numbers(10), ...numbers(30).slice(20)])
})

test('a group that has not read what retention has removed is paused, and says how much it may have lost, or goes on', async () => {
  await start([reading('slow'), reading('skipping', { onLostHistory: 'skip' })])
  const worker = await pipeline.startWorker('one')
  await send(0, 10)
  await untilRead('slow', 10)
  await untilRead('skipping', 10)
  await worker.stop()
  const { rows: before } = await pipeline.db.query(
    'SELECT partition, max(position) AS position FROM group_cursors GROUP BY partition ORDER BY partition',
  )
  await pipeline.db.query('UPDATE log_starts SET low_position = $2 WHERE partition = $1', [
    before[0].partition,
    before[0].position + 40,
  ])
  const key = keyIn(before[0].partition)
  await pipeline.startWorker('two')
  await pipeline.db.query(`SELECT nextval('log_position') FROM generate_series(1, 200)`)
  await pipeline.send([{ type: 'counted', partitionkey: key, data: { n: 10 } }])
  const state = async () =>
    (await pipeline.db.query('SELECT paused_for FROM consumer_groups WHERE name = $1', ['slow'])).rows[0].paused_for
  await until('the group is paused', async () => (await state()) !== null)
  expect(await state()).toContain('up to 40 entries may be lost')
  await untilRead('skipping', 11)
})

/** A key whose events are in this partition. */
function keyIn(partition: number): string {
  for (let n = 0; ; n++) if (partitionOf('default', `k${n}`, pipeline.partitions) === partition) return `k${n}`
}

test('a reset undoes what the group did and reads the log again, in one transaction', async () => {
  const reset = async (tx: { query(text: string): Promise<unknown> }) =>
    void (await tx.query(`DELETE FROM read_by WHERE name = 'again'`))
  await start([reading('again', { reset }), reading('along')])
  await pipeline.startWorker()
  await send(0, 100)
  await untilRead('again', 100)
  const name = { tenantId: 'default', name: 'again', by: 'a test' }
  await resetConsumerGroup(pipeline.db, { ...name, to: 'earliest', emitNew: false })
  await send(100, 10)
  const isDone = async () => (await findGroup(pipeline.db, name))!.resetTo === null
  await until('the reset is done', isDone)
  await untilRead('again', 110)
  expect(await numbersOf('again')).toEqual(numbers(110))
  expect(await numbersOf('along')).toEqual(numbers(110))
})

test('a reset whose hook fails changes nothing and says why', async () => {
  const reset = async () => {
    throw new TypeError('cannot undo')
  }
  await start([reading('stays', { reset })])
  await pipeline.startWorker()
  await send(0, 5)
  await untilRead('stays', 5)
  const name = { tenantId: 'default', name: 'stays', by: 'a test' }
  await resetConsumerGroup(pipeline.db, { ...name, to: 'earliest', emitNew: false })
  const group = () => findGroup(pipeline.db, name)
  await until('the reset has failed', async () => (await group())!.resetError !== null)
  expect((await group())!.resetError).toContain('TypeError: cannot undo')
  await send(5, 5)
  await untilRead('stays', 10)
  expect(await numbersOf('stays')).toEqual(numbers(10))
})
