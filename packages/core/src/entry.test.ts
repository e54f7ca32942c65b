/** From an event to the text of its entry, and back. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decodeEvent, packEntry, unpackEntry } from './entry.js'
import type { RawEvent } from './event.js'

const event: RawEvent = {
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

test('an entry holds the events that were put into it, in order, to the letter of their payloads', () => {
  const misleading = ',"data":{"n":1}}'
  const text = fc.oneof(fc.string(), fc.constant(misleading), fc.constant('\\",\\"data\\":'))
  const payload = fc.json().map((json) => `{"json": ${json}, "again": {"a":1,"data":{"n":1.50}}}`)
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text, text, payload), { minLength: 1 }), (given) => {
      const events = given.map(([key, source, correlationId, payload], n) => {
        return {
          ...event,
          seq: n,
          externalId: key,
          key,
          source,
          correlationId,
          causationId: key,
          traceparent: source,
          payload,
        }
      })
      const decoded = events.map(({ payload, ...meta }) => ({ event: { ...meta, data: JSON.parse(payload) }, payload }))
      expect(unpackEntry(packEntry(events)).map(decodeEvent)).toEqual(decoded)
    }),
  )
})

test.each<[string, object]>([
  ...Object.keys(event).flatMap((name): [string, object][] =>
    name === 'payload' ? [] : [[`no ${name}`, { [name]: undefined }]],
  ),
  ['a seq that is a text', { seq: '7' }],
  ['a partition that is a text', { partition: '3' }],
  ['an id that is no UUID', { id: 'order-1' }],
  ['a type that is a number', { type: 5 }],
  ['data that is a list', { payload: '[]' }],
  ['data that is null', { payload: 'null' }],
])('a text with %s is no event', (_, change) => {
  expect(() => decodeEvent(packEntry([{ ...event, ...change }]))).toThrow(TypeError)
})

test('any other text is a SyntaxError or a TypeError, never another one and never an event', () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map((json) => `${json.slice(0, -1)},"data":{}}`),
    fc.constantFrom('', 'null', '[]', '{}', '{"seq":1}', '\0', ',"data":', 'null,"data":{}'),
  )
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
