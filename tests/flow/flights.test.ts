/** The 20,000 flights of the sample: from HTTP to rows and a projection that agrees with a recount. */
import { join } from 'node:path'
import type { IncomingEvent } from '@eventflow/core'
import { countEvents } from '@eventflow/db'
import { flightEvents } from '@eventflow/samples'
import { loadDefinitions } from '@eventflow/sdk'
import { startPipeline, type TestPipeline } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const SAMPLES = join(import.meta.dirname, '../../../packages/samples/dist/events')

/** Of the 20,000 flights, 116 state a distance that is too far off. */
const FAILING = 116

let flights: IncomingEvent[]
let pipeline: TestPipeline

beforeAll(async () => {
  flights = await flightEvents()
  pipeline = await startPipeline([...(await loadDefinitions(SAMPLES)).events.values()])
  await pipeline.startWorker()
  await pipeline.startWorker()
})

afterAll(() => pipeline.stop())

const rows = async (text: string) => (await pipeline.db.query(text)).rows

/**
 * Sends all flights with four senders, each with separate keys, so that each key's are sent in order. Adds up the
 * answers.
 */
async function sendAll(): Promise<{ accepted: number; duplicate: number; rejected: number }> {
  const senders: IncomingEvent[][] = [[], [], [], []]
  const senderOf = new Map<string, IncomingEvent[]>()
  for (const flight of flights) {
    const key = flight.partitionkey!
    if (!senderOf.has(key)) senderOf.set(key, senders[senderOf.size % senders.length]!)
    senderOf.get(key)!.push(flight)
  }
  const sum = { accepted: 0, duplicate: 0, rejected: 0 }
  await Promise.all(
    senders.map(async (events) => {
      for (let from = 0; from < events.length; from += 500) {
        const { accepted, duplicate, rejected } = await pipeline.send(events.slice(from, from + 500))
        sum.accepted += accepted
        sum.duplicate += duplicate
        sum.rejected += rejected
      }
    }),
  )
  return sum
}

/** The differences between the projection and the recount, both ways. */
async function differences() {
  const recount = `
    SELECT origin AS airport, count(*) AS flights, sum(delay) AS delay_minutes, round(avg(delay), 2) AS average_delay
    FROM raw_events r LEFT JOIN failed_events f USING (tenant_id, event_id),
         json_to_record(r.payload) AS flight (origin text, delay integer)
    WHERE f.event_id IS NULL GROUP BY origin`
  const projection = 'SELECT airport, flights, delay_minutes, average_delay FROM airport_stats'
  return rows(`(${recount} EXCEPT ${projection}) UNION ALL (${projection} EXCEPT ${recount})`)
}

test('all are accepted and settled, the projection agrees with a recount, and Redis is empty', async () => {
  expect(await sendAll()).toEqual({ accepted: flights.length, duplicate: 0, rejected: 0 })
  await pipeline.drained(60_000)
  expect(await countEvents(pipeline.db)).toEqual({
    accepted: flights.length,
    processed: flights.length - FAILING,
    failed: FAILING,
    retrying: 0,
    unsettled: 0,
  })
  expect(await differences()).toEqual([])
  const [{ airports }] = await rows('SELECT count(*)::integer AS airports FROM airport_stats')
  expect(airports).toBeGreaterThan(50)
  await pipeline.streamsEmpty()
}, 90_000)

test('the failed ones say why, in words for people', async () => {
  const reasons = await rows('SELECT DISTINCT component, error_class, attempts, message FROM failed_events')
  for (const reason of reasons) {
    expect(reason).toMatchObject({ component: 'validate', error_class: 'RuleViolation', attempts: 1 })
    expect(reason.message).toMatch(
      /^\/distance the stated distance of \d+ miles from [A-Z]{3} to [A-Z]{3} is [\d.]+ miles off the great-circle distance/,
    )
  }
  expect(reasons.length).toBeGreaterThan(5)
})

test('the processed ones have both airports, the distance between them, and the data as sent', async () => {
  const [{ enriched }] = await rows(`
    SELECT count(*)::integer AS enriched FROM processed_events JOIN raw_events r USING (tenant_id, event_id)
    JOIN airports o ON o.iata = r.payload->>'origin' JOIN airports d ON d.iata = r.payload->>'destination'
    WHERE processed_events.payload @> r.payload::jsonb
      AND processed_events.payload->'origin_airport'->>'name' = o.name
      AND processed_events.payload->'destination_airport'->>'name' = d.name
      AND abs((processed_events.payload->>'great_circle_miles')::numeric - (r.payload->>'distance')::numeric) < 50`)
  expect(enriched).toBe(flights.length - FAILING)
})

test('sent again, all are duplicates: no new row and no second effect', async () => {
  const before = await rows('SELECT * FROM airport_stats ORDER BY airport')
  expect(await sendAll()).toEqual({ accepted: 0, duplicate: flights.length, rejected: 0 })
  await pipeline.drained()
  expect(await countEvents(pipeline.db)).toMatchObject({ accepted: flights.length, failed: FAILING, unsettled: 0 })
  expect(await rows('SELECT * FROM airport_stats ORDER BY airport')).toEqual(before)
  await pipeline.streamsEmpty()
}, 60_000)
