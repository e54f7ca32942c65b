/** The identity of a stored event. */
import type { AcceptedEvent } from './event.js'

/**
 * The identity of a stored event as one text: its tenant and its id, which is derived from the producer's source and
 * id.
 */
export function identityOf(event: Pick<AcceptedEvent, 'tenantId' | 'id'>): string {
  return `${event.tenantId}/${event.id}`
}
