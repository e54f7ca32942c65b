/** The business rule, and which of the 20,000 flights break it. */
import { expect, test } from '@jest/globals'
import { readAirports } from './airports.js'
import { readFlights } from './flights.js'
import { greatCircleMiles } from './geo.js'
import { distanceProblems } from './stated-distance.js'

const route = { origin: 'JAX', destination: 'TPA' }

test.each([
  ['a short flight may be a mile off', 100, 101, 0],
  ['and no more', 100, 101.01, 1],
  ['a long one half a percent', 2010, 2000, 0],
  ['and no more', 2011, 2000, 1],
])('%s', (_, distance, great_circle_miles, problems) => {
  expect(distanceProblems({ ...route, distance, great_circle_miles })).toHaveLength(problems)
})

test('the problem names both figures', () => {
  expect(distanceProblems({ ...route, distance: 180, great_circle_miles: 181.33 })).toEqual([
    {
      pointer: '/distance',
      message:
        'the stated distance of 180 miles from JAX to TPA is 1.33 miles off the great-circle distance of 181.33 miles; ' +
        'tolerated are 1 mile or 0.5 %, whichever is more',
    },
  ])
})

test('116 of the 20,000 flights break the rule, on 10 routes', async () => {
  const airports = new Map((await readAirports()).map((airport) => [airport.iata, airport]))
  const routes = new Map<string, number>()
  for (const flight of await readFlights()) {
    const great_circle_miles = greatCircleMiles(airports.get(flight.origin)!, airports.get(flight.destination)!)
    if (distanceProblems({ ...flight, great_circle_miles }).length === 0) continue
    const name = [flight.origin, flight.destination].sort().join('-')
    routes.set(name, (routes.get(name) ?? 0) + 1)
  }
  expect(Object.fromEntries(routes)).toEqual({
    'ABE-PIT': 6,
    'ATL-TLH': 8,
    'CMH-MDW': 14,
    'IND-STL': 22,
    'JAX-MIA': 15,
    'JAX-TPA': 9,
    'LSE-MSP': 6,
    'MDT-PIT': 9,
    'ORD-TOL': 13,
    'ORF-PHL': 14,
  })
  expect([...routes.values()].reduce((sum, flights) => sum + flights, 0)).toBe(116)
})
