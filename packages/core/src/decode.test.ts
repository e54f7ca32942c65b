/** From text back to an event. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decodeEvent, firstDelivery, parseEvent } from './decode.js'
import type { RawEvent } from './event.js'

const raw: RawEvent = {
  seq: 7,
  tenantId: 'default',
  id: '50ab5d72-5bed-58a3-ab02-c9f7fb0d68b8',
  type: 'order.created',
  source: '/',
  key: 'k',
  partition: 3,
  occurredAt: '2024-01-01T00:00:00.000Z',
  acceptedAt: '2024-01-01T00:00:01.000Z',
  correlationId: 'c',
  payload: '{"n":1}',
}
const { payload: _, ...meta } = raw
const event = { ...meta, data: { n: 1 } }

test('a stored event has its data parsed, and nothing else changed', () => {
  expect(parseEvent(raw)).toEqual(event)
})

test('an entry is the event that was put into it', () => {
  expect(decodeEvent(JSON.stringify(event))).toEqual(event)
  const full = { ...event, causationId: 'x', traceparent: 'y' }
  expect(decodeEvent(JSON.stringify(full))).toEqual(full)
})

test.each(Object.keys(event))('an entry without %s is no event', (name) => {
  expect(() => decodeEvent(JSON.stringify({ ...event, [name]: undefined }))).toThrow(TypeError)
})

test.each<[string, object]>([
  ['a seq that is a text', { seq: '7' }],
  ['a partition that is a text', { partition: '3' }],
  ['an id that is no UUID', { id: 'order-1' }],
  ['a type that is a number', { type: 5 }],
  ['data that is null', { data: null }],
  ['data that is a list', { data: [] }],
])('an entry with %s is no event', (_, change) => {
  expect(() => decodeEvent(JSON.stringify({ ...event, ...change }))).toThrow(TypeError)
})

test('any other text is a SyntaxError or a TypeError, never another one and never an event', () => {
  const text = fc.oneof(fc.string(), fc.json(), fc.constantFrom('', 'null', '[]', '{}', '{"seq":1}', '\0'))
  fc.assert(
    fc.property(text, (given) => {
      let error: unknown
      try {
        decodeEvent(given)
      } catch (thrown) {
        error = thrown
      }
      expect(error instanceof SyntaxError || error instanceof TypeError).toBe(true)
    }),
  )
})

test('an event that is delivered for the first time has no past', () => {
  expect(firstDelivery(event, ['1-0'])).toEqual({
    event,
    entryIds: ['1-0'],
    attempts: 0,
    history: [],
    crashes: 0,
    inRetries: false,
  })
})
