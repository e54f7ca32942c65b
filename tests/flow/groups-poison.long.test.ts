/** An event that kills the workers of its consumer group becomes a dead letter of the group; the others are handled. */
import { join } from 'node:path'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import step from '../deadly-groups/group-step.js'

const EVENTS = join(import.meta.dirname, '../deadly-groups')

let pipeline: TestPipeline

beforeEach(async () => {
  pipeline = await startPipeline([step])
})

afterEach(() => pipeline.stop())

const dead = async () => (await pipeline.db.query('SELECT error_class, status FROM group_dead_letters')).rows

test('an event that kills its worker is dead after six processes, in the order of its key', async () => {
  const data = [...Array(40).keys()].map((n) => ({ n, ...(n === 17 && { mood: 'kill' }) }))
  await pipeline.send(data.map((one) => ({ type: 'group.step', partitionkey: 'k', data: one })))
  let processes = 0
  for (; (await dead()).length === 0 && processes < 10; processes++) {
    const worker = await pipeline.startWorkerProcess('a', EVENTS).catch(() => undefined)
    if (!worker) continue
    let ended = false
    void worker.exited.then(() => {
      ended = true
    })
    await until('it ends, or the event is dead', async () => ended || (await dead()).length > 0)
  }
  expect(await dead()).toEqual([{ error_class: 'Poison', status: 'open' }])
  // Twice before the events are suspects, once with a few of them, three times while it was alone; the next one lives.
  expect(processes).toBe(7)
  const effects = async () => (await pipeline.db.query('SELECT n FROM deadly_group_effects ORDER BY at')).rows
  const others = data.map(({ n }) => n).filter((n) => n !== 17)
  await until('the others are handled', async () => (await effects()).length >= others.length)
  expect((await effects()).map(({ n }) => n)).toEqual(others)
}, 180_000)
