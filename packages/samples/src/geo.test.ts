/** Great-circle distances against published ones. */
import { expect, test } from '@jest/globals'
import { greatCircleMiles } from './geo.js'

const EARTH_RADIUS_MILES = 6371.0088 / 1.609344

test('Los Angeles to New York as in the Aviation Formulary: 0.623585 radians', () => {
  // E. Williams, "Aviation Formulary": LAX 33°57'N 118°24'W, JFK 40°38'N 73°47'W.
  const lax = { latitude: 33 + 57 / 60, longitude: -(118 + 24 / 60) }
  const jfk = { latitude: 40 + 38 / 60, longitude: -(73 + 47 / 60) }
  expect(greatCircleMiles(lax, jfk) / EARTH_RADIUS_MILES).toBeCloseTo(0.623585, 5)
  expect(greatCircleMiles(jfk, lax)).toBe(greatCircleMiles(lax, jfk))
})

test('zero, a quarter and half around the Earth', () => {
  const pole = { latitude: 90, longitude: 0 }
  const equator = { latitude: 0, longitude: 77 }
  expect(greatCircleMiles(equator, equator)).toBe(0)
  expect(greatCircleMiles(pole, equator)).toBeCloseTo((Math.PI / 2) * EARTH_RADIUS_MILES, 6)
  expect(greatCircleMiles(equator, { latitude: 0, longitude: -103 })).toBeCloseTo(Math.PI * EARTH_RADIUS_MILES, 3)
})

test('across the date line', () => {
  const west = { latitude: 10, longitude: 179 }
  const east = { latitude: 10, longitude: -179 }
  expect(greatCircleMiles(west, east)).toBeCloseTo(
    greatCircleMiles({ latitude: 10, longitude: 0 }, { latitude: 10, longitude: 2 }),
    6,
  )
})
