/** The sample definitions: loaded as a worker loads them, and run on their own examples. */
import { fileURLToPath } from 'node:url'
import { type AcceptedEvent, compileSchema, type Payload } from '@eventflow/core'
import { type EnrichContext, type EventDefinition, loadDefinitions, type Sql } from '@eventflow/sdk'
import { beforeAll, expect, test } from '@jest/globals'
import { readAirports } from './airports.js'
import { flightEvents, weatherEvents } from './index.js'

let definitions: ReadonlyMap<string, EventDefinition>

beforeAll(async () => {
  definitions = (await loadDefinitions(fileURLToPath(new URL('./events', import.meta.url)))).events
})

function eventOf(data: Payload): AcceptedEvent {
  return { data } as AcceptedEvent
}

/** An enrichment context whose Postgres has only the airports. */
async function airportsOnly(): Promise<EnrichContext> {
  const airports = new Map((await readAirports()).map((airport) => [airport.iata, airport]))
  const query = async (_text: string, [keys]: readonly unknown[] = []) =>
    (keys as string[]).flatMap((key) => {
      const { iata, country, ...row } = airports.get(key)!
      return [{ key, json: JSON.stringify(row) }]
    })
  return { sql: { query: query as Sql['query'] }, cache: { getMany: async () => [], setMany: async () => {} } }
}

async function enrich(definition: EventDefinition, data: Payload[], context: EnrichContext): Promise<AcceptedEvent[]> {
  let events = data.map(eventOf)
  for (const enricher of definition.enrich ?? []) {
    const additions = await enricher.enrich(events, context)
    events = events.map((event, index) => eventOf({ ...event.data, ...(additions[index] as Payload) }))
  }
  return events
}

test('there are nine', () => {
  expect([...definitions.keys()].sort()).toEqual([
    ...['enriched_events', 'flight.completed', 'flight.weather', 'order.created', 'payment.captured'],
    ...['payment_events', 'user.updated', 'user_events', 'weather.normal'],
  ])
})

test('all hours of the weather match the schema', async () => {
  const check = compileSchema(definitions.get('weather.normal')!.schema)
  expect((await weatherEvents()).flatMap(({ data }) => check(data))).toEqual([])
})

test('each has a description, and an example that passes every check', async () => {
  const context = await airportsOnly()
  for (const definition of definitions.values()) {
    const example = definition.example!
    expect(definition.description).toMatch(/\.$/)
    expect(compileSchema(definition.schema)(example)).toEqual([])
    expect(definition.key?.(example)).toMatch(/./)
    const [event] = await enrich(definition, [example], context)
    expect(definition.validate?.(event!) ?? []).toEqual([])
  }
})

test('of the 20,000 flights all match the schema and 116 break the rule', async () => {
  const definition = definitions.get('flight.completed')!
  const check = compileSchema(definition.schema)
  const data = (await flightEvents()).map((event) => event.data)
  expect(data.flatMap(check)).toEqual([])
  const events = await enrich(definition, data, await airportsOnly())
  expect(events.filter((event) => definition.validate!(event).length > 0)).toHaveLength(116)
})

test('a flight gets its airports and the distance between them', async () => {
  const definition = definitions.get('flight.completed')!
  const [event] = await enrich(definition, [definition.example!], await airportsOnly())
  expect(event!.data).toEqual({
    ...definition.example,
    origin_airport: {
      name: 'Detroit Metropolitan-Wayne County',
      city: 'Detroit',
      state: 'MI',
      latitude: 42.21205889,
      longitude: -83.34883583,
    },
    destination_airport: {
      name: 'McCarran International',
      city: 'Las Vegas',
      state: 'NV',
      latitude: 36.08036111,
      longitude: -115.1523333,
    },
    great_circle_miles: 1745.07,
  })
})

test("an order's total is the sum of its items", async () => {
  const definition = definitions.get('order.created')!
  const [event] = await enrich(definition, [definition.example!], {} as EnrichContext)
  expect(event!.data.total).toBe(2 * 650 + 1290)
})

test('no more can be captured than was authorized', () => {
  const definition = definitions.get('payment.captured')!
  const event = eventOf({ ...definition.example, authorized: 100, captured: 101 })
  expect(definition.validate!(event)).toEqual([{ pointer: '/captured', message: 'captured 101 of 100 authorized' }])
})
