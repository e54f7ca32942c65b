/** The windows and joins of the samples: their results agree with a recount of the same events. */
import { join } from 'node:path'
import type { IncomingEvent } from '@eventflow/core'
import { flightEvents, weatherEvents } from '@eventflow/samples'
import { loadDefinitions } from '@eventflow/sdk'
import { startPipeline, type TestPipeline, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const SAMPLES = join(import.meta.dirname, '../../../packages/samples/dist/events')
const FIVE_MINUTES = 300_000
/** The out-of-orderness of the window. */
const DAY = 86_400_000

let pipeline: TestPipeline

beforeAll(async () => {
  const { events, windows, joins } = await loadDefinitions(SAMPLES)
  pipeline = await startPipeline([...events.values()], {}, [...windows.values(), ...joins.values()])
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

const rows = async (text: string) => (await pipeline.db.query(text)).rows

/** The events from January 1 to 3. */
const inThreeDays = (events: readonly IncomingEvent[]) => events.filter(({ time }) => time! < '2001-01-04')

async function sendInOrder(events: readonly IncomingEvent[]): Promise<void> {
  for (let from = 0; from < events.length; from += 500) await pipeline.send(events.slice(from, from + 500))
}

interface Recounted {
  flights: number
  delay: number
}

/** The windows of the processed flights that a day of later flights of the partition has closed, counted here. */
async function recount(): Promise<Map<string, Recounted>> {
  const flights = await rows(`
    SELECT partition, key, extract(epoch FROM occurred_at)::float8 * 1000 AS at, (payload->>'delay')::int AS delay
    FROM processed_events WHERE type = 'flight.completed'`)
  const latest = new Map<number, number>()
  for (const { partition, at } of flights) latest.set(partition, Math.max(at, latest.get(partition) ?? 0))
  const windows = new Map<string, Recounted>()
  for (const { partition, key, at, delay } of flights) {
    const start = Math.floor(at / FIVE_MINUTES) * FIVE_MINUTES
    if (start + FIVE_MINUTES > latest.get(partition)! - DAY) continue
    const name = `${key} ${new Date(start).toISOString()}`
    const { flights: count, delay: sum } = windows.get(name) ?? { flights: 0, delay: 0 }
    windows.set(name, { flights: count + 1, delay: sum + delay })
  }
  return windows
}

/** The flights in closed windows, in open ones, the open ones that are due, and the flights that are processed. */
async function sums(): Promise<Record<'closed' | 'open' | 'due' | 'processed', number>> {
  const [row] = await rows(`
    SELECT (SELECT coalesce(sum((result->>'flights')::int), 0)::int FROM window_results) AS closed,
           (SELECT coalesce(sum((state->>'flights')::int), 0)::int FROM window_state) AS open,
           (SELECT count(*)::int FROM window_state JOIN group_watermarks
              USING (group_id, generation, partition, tenant_id) WHERE close_at <= watermark) AS due,
           (SELECT count(*)::int FROM processed_events WHERE type = 'flight.completed') AS processed`)
  return row
}

test('the window counts the flights of each airport in five minutes, and their delays', async () => {
  await sendInOrder(inThreeDays(await flightEvents()))
  await pipeline.drained(30_000)
  await until('each is in a result or in a window that is not due', async () => {
    const { closed, open, due, processed } = await sums()
    return closed + open === processed && due === 0
  })
  const results = await rows('SELECT key, start_at, result FROM window_results')
  const counted = new Map(
    results.map(({ key, start_at, result: { flights, delay } }) => [
      `${key} ${start_at.toISOString()}`,
      { flights, delay },
    ]),
  )
  const recounted = await recount()
  expect(recounted.size).toBeGreaterThan(200)
  expect(counted).toEqual(recounted)
  for (const { flights, delay, average_delay } of results.map(({ result }) => result)) {
    expect(Number(average_delay)).toBeCloseTo(delay / flights, 10)
  }
}, 60_000)

test('no flight was late, and SQL counts the same', async () => {
  expect(await rows("SELECT FROM late_events JOIN consumer_groups USING (group_id) WHERE kind = 'window'")).toEqual([])
  const byHand = `
    SELECT p.key, date_bin('5 minutes', p.occurred_at, '2001-01-01Z') AS start_at, count(*) AS flights,
           sum((p.payload->>'delay')::int) AS delay
    FROM processed_events p WHERE p.type = 'flight.completed' GROUP BY 1, 2`
  const differing = await rows(`
    SELECT * FROM window_results r LEFT JOIN (${byHand}) h USING (key, start_at)
    WHERE (r.result->>'flights')::int IS DISTINCT FROM h.flights
       OR (r.result->>'delay')::int IS DISTINCT FROM h.delay`)
  expect(differing).toEqual([])
})

test('each flight from Seattle is joined with the weather of its hour, though the weather comes last', async () => {
  const weather = inThreeDays(await weatherEvents())
  await sendInOrder(weather)
  const leaving = await rows(`
    SELECT payload->>'destination' AS destination, (payload->>'delay')::int AS delay, occurred_at
    FROM processed_events WHERE type = 'flight.completed' AND key = 'SEA'`)
  expect(leaving.length).toBeGreaterThan(5)
  const normals = new Map(weather.map(({ time, data }) => [time!.slice(0, 13), data]))
  const expected = leaving.flatMap(({ destination, delay, occurred_at }) => {
    const normal = normals.get(occurred_at.toISOString().slice(0, 13))
    return normal ? [{ origin: 'SEA', destination, delay, temperature: normal.temperature, wind: normal.wind }] : []
  })
  const joined = async () =>
    (await rows(`SELECT payload FROM processed_events WHERE type = 'flight.weather'`)).map(({ payload }) => payload)
  await until('they are joined', async () => (await joined()).length >= expected.length)
  expect(sorted(await joined())).toEqual(sorted(expected))
})

const sorted = (payloads: readonly object[]) =>
  payloads.map((payload) => JSON.stringify(Object.entries(payload).sort())).sort()

test('a payment is enriched with its user as they were then, and one without a user is not lost', async () => {
  const at = (seconds: number) => new Date(Date.parse('2026-01-01T10:00:00Z') + seconds * 1_000).toISOString()
  const user = (seconds: number, plan: string) => ({
    type: 'user_events',
    time: at(seconds),
    data: { userId: 'u-1', name: 'Ada', plan },
  })
  const payment = (seconds: number, paymentId: string, userId: string) => ({
    type: 'payment_events',
    time: at(seconds),
    data: { paymentId, userId, cents: 100 },
  })
  await pipeline.send([user(0, 'free'), payment(11, 'second', 'u-1'), payment(9.5, 'first', 'u-1'), user(10, 'pro')])
  await pipeline.send([payment(5, 'alone', 'u-2')])
  const enriched = async () =>
    (
      await rows(`SELECT payload FROM processed_events WHERE type = 'enriched_events' ORDER BY payload->>'paymentId'`)
    ).map(({ payload }) => [payload.paymentId, payload.user])
  // No later event comes: idle time decides.
  await until('they are enriched', async () => (await enriched()).length >= 3, 30_000)
  expect(await enriched()).toEqual([
    ['alone', null],
    ['first', { name: 'Ada', plan: 'free' }],
    ['second', { name: 'Ada', plan: 'pro' }],
  ])
}, 60_000)
