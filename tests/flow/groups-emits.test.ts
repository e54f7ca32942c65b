/** What consumer groups emit when they are reset, and what is refused; groups without order. */
import { findGroup, resetConsumerGroup, resumeConsumerGroup } from '@eventflow/db'
import { type ConsumerDefinition, type ConsumerTx, defineConsumer, defineEvent, Type } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, expect, test } from '@jest/globals'

const counted = defineEvent({ type: 'counted', schema: Type.Object({ n: Type.Integer() }) })
const doubled = defineEvent({ type: 'doubled', schema: Type.Object({ n: Type.Integer() }) })

let pipeline: TestPipeline

afterEach(() => pipeline.stop())

async function start(given: Partial<ConsumerDefinition<{ n: number }>>): Promise<void> {
  const group = defineConsumer<{ n: number }>({ name: 'doubling', events: ['counted'], from: 'earliest', ...given })
  pipeline = await startPipeline([counted, doubled], {}, [group])
  await pipeline.startWorker()
}

const send = (count: number, partitionkey = 'k') =>
  pipeline.send(Array.from({ length: count }, (_, n) => ({ type: 'counted', partitionkey, data: { n } })))

const name = { tenantId: 'default', name: 'doubling', by: 'a test' }
const group = async () => (await findGroup(pipeline.db, name))!
const isLevel = async () => {
  const { resetTo, partitions } = await group()
  return resetTo === null && partitions.every(({ lag, parked }) => lag.events === 0 && parked === 0)
}

async function emitted(): Promise<number[]> {
  const { rows } = await pipeline.db.query(
    `SELECT payload->'n' AS n FROM raw_events WHERE type = 'doubled' ORDER BY seq`,
  )
  return rows.map(({ n }) => n)
}

const untilEmitted = (count: number) =>
  until(`${count} events are emitted`, async () => (await emitted()).length === count)

const deadLetters = async () => (await pipeline.db.query('SELECT error_class, message FROM group_dead_letters')).rows

test('a reset emits nothing a second time; with other content the group pauses, and can emit its events as new', async () => {
  let factor = 2
  let handled = 0
  await start({
    handle: async ({ data }, tx) => {
      await tx.emit({ type: 'doubled', data: { n: data.n * factor } })
      handled++
    },
  })
  await send(3)
  await untilEmitted(3)
  await resetConsumerGroup(pipeline.db, { ...name, to: 'earliest', emitNew: false })
  await until('all are handled again', async () => handled === 6 && (await isLevel()))
  expect(await emitted()).toEqual([0, 2, 4])

  factor = 3
  await resetConsumerGroup(pipeline.db, { ...name, to: 'earliest', emitNew: false })
  await until('the group is paused', async () => (await group()).pausedFor !== null)
  expect((await group()).pausedFor).toContain('was emitted before with other content: reset the group with --emit new')
  expect(await emitted()).toEqual([0, 2, 4])

  await resetConsumerGroup(pipeline.db, { ...name, to: 'earliest', emitNew: true })
  await resumeConsumerGroup(pipeline.db, { ...name, skipLost: false })
  await untilEmitted(6)
  expect(await emitted()).toEqual([0, 2, 4, 0, 3, 6])
})

test.each<[string, (tx: ConsumerTx) => unknown, string]>([
  ['does not fit its schema', (tx) => tx.emit({ type: 'doubled', data: { n: 'two' } }), 'does not fit the schema'],
  ['has a type without a definition', (tx) => tx.emit({ type: 'none', data: {} }), 'a type without a definition'],
  ['was not awaited', (tx) => void tx.emit({ type: 'doubled', data: {} }), 'does not fit the schema'],
  ['has no time', (tx) => tx.emit({ type: 'doubled', data: { n: 1 }, time: 'soon' }), 'has a time that is no time'],
])(
  'an emitted event that %s fails the event that leads to it, with the name of the handler',
  async (_, emit, message) => {
    await start({ handle: async (_event, tx) => void (await emit(tx)) })
    await send(1)
    await until('the event is dead', async () => (await deadLetters()).length === 1)
    const [letter] = await deadLetters()
    expect(letter.error_class).toBe('PermanentError')
    expect(letter.message).toMatch(/^handle of 'doubling': the emitted event of type /)
    expect(letter.message).toContain(message)
    expect(await emitted()).toEqual([])
  },
)

test('in a group without order, an event that is tried again holds up no other event of its key', async () => {
  let succeeds = false
  await start({
    order: 'none',
    retry: { attempts: 100, baseDelayMs: 50, maxDelayMs: 50 },
    handle: async ({ data }, tx) => {
      if (data.n === 0 && !succeeds) throw new Error('not yet')
      await tx.emit({ type: 'doubled', data: { n: data.n * 2 } })
    },
  })
  await send(5)
  await untilEmitted(4)
  expect(await emitted()).toEqual([2, 4, 6, 8])
  succeeds = true
  await untilEmitted(5)
})
