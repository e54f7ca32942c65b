/** The ordering key of an event. */
import type { AcceptedEvent } from './event.js'

/** Tenant and ordering key as one text, so that equal keys of two tenants stay distinct. */
export function orderingKey(event: Pick<AcceptedEvent, 'tenantId' | 'key'>): string {
  return `${event.tenantId}\0${event.key}`
}
