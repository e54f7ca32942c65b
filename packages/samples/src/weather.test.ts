/** The weather of the sample is complete, and always becomes the same events. */
import { expect, test } from '@jest/globals'
import { readWeatherNormals, weatherEvents } from './weather.js'

test('the hours of a year, but for the first', async () => {
  const normals = await readWeatherNormals()
  expect(normals).toHaveLength(365 * 24 - 1)
  expect(normals[0]).toEqual({ date: '2010-01-01T01:00:00', pressure: 1016.6, temperature: 4, wind: 3.8 })
  const numbers = normals.flatMap(({ pressure, temperature, wind }) => [pressure, temperature, wind])
  expect(numbers.every(Number.isFinite)).toBe(true)
})

test('an event for each hour of the time of the flights', async () => {
  const events = await weatherEvents()
  expect(events).toHaveLength(90 * 24 - 1)
  expect(events[0]).toEqual({
    type: 'weather.normal',
    source: '/weather/normals',
    id: expect.any(String),
    partitionkey: 'SEA',
    time: '2001-01-01T01:00:00Z',
    data: { airport: 'SEA', hour: '2001-01-01T01:00:00Z', pressure: 1016.6, temperature: 4, wind: 3.8 },
  })
  expect(events.at(-1)!.time).toBe('2001-03-31T23:00:00Z')
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length)
  expect((await weatherEvents()).map(({ id }) => id)).toEqual(events.map(({ id }) => id))
})
