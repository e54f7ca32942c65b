/** Deliveries for the tests of this folder. */
import { type AcceptedEvent, type Delivery, firstDelivery } from '@eventflow/core'

/** A delivery of event number `seq`, by default from one stream entry. */
export function deliveryOf(
  seq: number,
  event: Partial<AcceptedEvent> = {},
  rest: Partial<Omit<Delivery, 'event'>> = {},
): Delivery {
  const delivered = eventOf(seq, event)
  return { ...firstDelivery(delivered, JSON.stringify(delivered.data), [`${seq}-0`]), ...rest }
}

/** Event number `seq` with default values for everything else. */
export function eventOf(seq: number, event: Partial<AcceptedEvent> = {}): AcceptedEvent {
  return {
    seq,
    tenantId: 'default',
    id: `00000000-0000-7000-8000-${String(seq).padStart(12, '0')}`,
    type: 'order.created',
    source: '/',
    key: `key ${seq}`,
    partition: 0,
    occurredAt: '2024-01-01T00:00:00.000Z',
    acceptedAt: '2024-01-01T00:00:00.000Z',
    correlationId: 'c',
    data: {},
    ...event,
  }
}
