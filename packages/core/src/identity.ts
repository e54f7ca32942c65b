/** Which stored event an event is. */
import type { AcceptedEvent } from './event.js'

/** The identity of a stored event as one text: its tenant and its id, which the producer's source and id make. */
export function identityOf(event: Pick<AcceptedEvent, 'tenantId' | 'id'>): string {
  return `${event.tenantId}/${event.id}`
}
