/** A replay continues when any process dies: every effect happens exactly once more, and each key's in order. */
import { type BuildCopy, post, type Stack, startStack, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { copyOfBuild, places } from './places.js'

const KEYS = 40
const EVENTS = 2_000

let build: BuildCopy
let stack: Stack
let passed = false

beforeAll(async () => {
  build = await copyOfBuild('replay-faults')
  stack = await startStack({ ...places, ...build, ingests: 1, workers: 2 })
}, 60_000)

afterAll(async () => {
  await stack.stop({ keep: !passed })
  await build.remove()
})

test('workers and the service are killed while processed events are replayed', async () => {
  const { db, directRedis, ingests, workers, urls } = stack
  const url = urls[0]!
  for (let from = 0; from < EVENTS; from += 500) {
    const events = Array.from({ length: 500 }, (_, i) => {
      const n = from + i
      return { type: 'fault.step', data: { key: `key ${n % KEYS}`, n } }
    })
    expect((await post(`${url}/v1/events/batch`, events)).status).toBe(200)
  }
  await stack.drained()

  const filter = { type: 'fault.step' }
  const asked = await post(`${url}/v1/events/replay`, { target: 'processed', filter, rate: 250 })
  const { id } = (await asked.json()) as { id: string }
  const operation = async () => (await db.query('SELECT done, status FROM operations WHERE id = $1', [id])).rows[0]
  const reached = (share: number) => until(`${share} is done`, async () => (await operation()).done >= share * EVENTS)

  await reached(0.1)
  await workers[0]!.restart('SIGKILL', 0)
  await reached(0.3)
  await ingests[0]!.restart('SIGKILL', 0)
  await ingests[0]!.ready()
  await directRedis.flushall()
  await db.query(`UPDATE operations SET alive_at = now() - interval '1 minute'`)
  expect((await post(`${url}/v1/operations/${id}/resume`, {})).status).toBe(200)
  await reached(0.6)
  await workers[1]!.restart('SIGKILL', 0)
  await reached(0.8)
  await ingests[0]!.restart('SIGTERM', 0)
  await ingests[0]!.ready()
  expect(await operation()).toMatchObject({ status: 'interrupted' })
  expect((await post(`${url}/v1/operations/${id}/resume`, {})).status).toBe(200)
  await until('it is finished', async () => (await operation()).status === 'finished')
  await stack.drained()

  expect(await operation()).toEqual({ done: EVENTS, status: 'finished' })
  const { rows: counts } = await db.query(
    'SELECT times, count(*) AS events FROM (SELECT count(*) AS times FROM effects GROUP BY event_id) e GROUP BY times',
  )
  expect(counts).toEqual([{ times: 2, events: EVENTS }])
  const { rows: disorder } = await db.query(`
    SELECT key, n, before FROM (
      SELECT key, n, at, time, lag(n) OVER (PARTITION BY key, time ORDER BY at) AS before
      FROM (SELECT *, row_number() OVER (PARTITION BY event_id ORDER BY at) AS time FROM effects) e) e
    WHERE before > n`)
  expect(disorder).toEqual([])
  passed = true
}, 120_000)
