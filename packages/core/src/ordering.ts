/** Which events are processed in order. */
import type { AcceptedEvent } from './event.js'

/** The ordering key as one text. The same key of two tenants is two keys. */
export function orderingKey(event: Pick<AcceptedEvent, 'tenantId' | 'key'>): string {
  return `${event.tenantId}\0${event.key}`
}
