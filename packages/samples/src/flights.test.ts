/** The sample data matches its description, and always becomes the same events. */
import { isUuid } from '@eventflow/core'
import { expect, test } from '@jest/globals'
import { readAirports } from './airports.js'
import { flightEvents, readFlights } from './index.js'

test('20,000 flights between known airports', async () => {
  const flights = await readFlights()
  const airports = new Set((await readAirports()).map(({ iata }) => iata))
  expect(flights).toHaveLength(20_000)
  expect(airports.size).toBe(3_376)
  expect(flights.filter(({ origin, destination }) => !airports.has(origin) || !airports.has(destination))).toEqual([])
})

test('airports are read with their quotes, and without unknown values', async () => {
  const airports = new Map((await readAirports()).map((airport) => [airport.iata, airport]))
  expect(airports.get('DBN')).toEqual({
    iata: 'DBN',
    name: 'W. H. "Bud" Barron',
    city: 'Dublin',
    state: 'GA',
    country: 'USA',
    latitude: 32.56445806,
    longitude: -82.98525556,
  })
  expect(airports.get('PUW')).toMatchObject({ city: 'Pullman/Moscow,ID', state: 'WA' })
  expect(airports.get('MQT')).toMatchObject({ city: null, state: null })
})

test('a flight becomes an event', async () => {
  const [event] = await flightEvents()
  expect(event).toEqual({
    type: 'flight.completed',
    source: '/airline/ops',
    id: '10ecbe6a-641b-565b-9f7c-5da7e2b5e368',
    partitionkey: 'DTW',
    time: '2001-01-01T00:47:00Z',
    data: { date: '2001/01/01 00:47', delay: 66, distance: 1750, origin: 'DTW', destination: 'LAS' },
  })
})

test('every event has a unique id, the same each time', async () => {
  const ids = (await flightEvents()).map(({ id }) => id!)
  expect(new Set(ids).size).toBe(20_000)
  expect(ids.every(isUuid)).toBe(true)
  expect((await flightEvents()).map(({ id }) => id)).toEqual(ids)
})
