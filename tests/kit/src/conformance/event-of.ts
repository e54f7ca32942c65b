/** Events for tests of a feed, which differ only in what the feed is about. */
import type { RawEvent } from '@eventflow/core'

/** A stored event with this `seq`, in this partition, with this JSON as its data. */
export const eventOf = (seq: number, partition = 0, payload = '{}'): RawEvent => ({
  seq,
  tenantId: 'default',
  id: `00000000-0000-7000-8000-${String(seq).padStart(12, '0')}`,
  type: 'order.created',
  source: '/',
  key: 'k',
  partition,
  occurredAt: '2024-01-01T00:00:00.000Z',
  acceptedAt: '2024-01-01T00:00:00.000Z',
  correlationId: 'c',
  payload,
})
