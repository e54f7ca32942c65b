/** One of five consumer groups sleeps in its transaction: neither requests nor the other groups notice. */
import { defineConsumer, defineEvent, Type } from '@eventflow/sdk'
import { post, startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const EVENTS = 40
const PACE_MS = 20
const AWAKE = ['a', 'b', 'c', 'd']
/** The time limit of handlers ends a sleep after 5 s; the next attempt sleeps again. */
const LEVEL_MS = 10_000

let pipeline: TestPipeline
let wake = () => {}

beforeAll(async () => {
  const asleep = new Promise<void>((resolve) => {
    wake = resolve
  })
  const groups = ['asleep', ...AWAKE].map((name) =>
    defineConsumer<{ n: number }>({
      ...{ name, events: ['noted'], from: 'earliest', retry: { attempts: 100, baseDelayMs: 1, maxDelayMs: 1 } },
      prepare: async (tx) => void (await tx.query('CREATE TABLE IF NOT EXISTS handled (name text, n integer)')),
      handle: async ({ data }, tx) => {
        await tx.query('INSERT INTO handled VALUES ($1, $2)', [name, data.n])
        if (name === 'asleep') await asleep
      },
    }),
  )
  const noted = defineEvent({ type: 'noted', schema: Type.Object({ n: Type.Integer() }) })
  pipeline = await startPipeline([noted], {}, groups)
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

const handledBy = async (name: string) => {
  const { rows } = await pipeline.db.query('SELECT n FROM handled WHERE name = $1 ORDER BY n', [name])
  return rows.map(({ n }) => n)
}
const send = (n: number) => post(`${pipeline.url}/v1/events`, { type: 'noted', partitionkey: 'k', data: { n } })

test('each request is answered within a second, and four groups are level', async () => {
  await send(0)
  await until('the group is asleep', async () => {
    const { rows } = await pipeline.db.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'eventflow-groups'
       AND state = 'idle in transaction' AND query LIKE 'INSERT INTO handled%'`,
    )
    return rows.length > 0
  })
  const numbers = [0]
  for (let n = 1; n <= EVENTS; n++) {
    const begun = performance.now()
    expect((await send(n)).status).toBe(202)
    expect(performance.now() - begun).toBeLessThan(1_000)
    numbers.push(n)
    await new Promise((resolve) => setTimeout(resolve, PACE_MS))
  }
  for (const name of AWAKE) {
    await until(`the group ${name} is level`, async () => (await handledBy(name)).length > EVENTS, LEVEL_MS)
    expect(await handledBy(name)).toEqual(numbers)
  }
  expect(await handledBy('asleep')).toEqual([])
  wake()
  await until('it has caught up', async () => (await handledBy('asleep')).length > EVENTS)
  expect(await handledBy('asleep')).toEqual(numbers)
})
