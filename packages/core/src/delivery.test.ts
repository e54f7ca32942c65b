/** From a stored event to a delivery. */
import { expect, test } from '@jest/globals'
import { storedDelivery } from './delivery.js'
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
  payload: '{"n":1.50}',
}

test('an event that is delivered for the first time has no history, and its data as text and as values', () => {
  const { payload, ...meta } = raw
  expect(storedDelivery(raw)).toEqual({
    event: { ...meta, data: { n: 1.5 } },
    payload,
    entryIds: [],
    attempts: 0,
    history: [],
    crashes: 0,
    inRetries: false,
  })
})

test.each(['null', '[]', '1', '"text"', '{', ''])('data that is %j is refused', (payload) => {
  expect(() => storedDelivery({ ...raw, payload })).toThrow()
})
