/**
 * Ids as they were given before the source counted: for some weeks after an upgrade, events that are sent again are
 * known by them.
 */
import { identityOf, isUuid } from '@eventflow/core'
import { type Db, findRawEvents, type NewEvent } from '@eventflow/db'

/**
 * An event whose id is a UUID was stored under that UUID, of any source. Gives each of the events that is stored like
 * that the id that it has, so that it is found to be a duplicate. Asks Postgres only where one of them has another
 * source than the default.
 */
export async function keepFormerIds(db: Db, events: readonly NewEvent[]): Promise<void> {
  const candidates = events.flatMap((event) =>
    event.externalId !== undefined && isUuid(event.externalId)
      ? [{ event, former: { tenantId: event.tenantId, id: event.externalId.toLowerCase() } }]
      : [],
  )
  if (candidates.length === 0) return
  const stored = await findRawEvents(
    db,
    candidates.map(({ former }) => former),
  )
  for (const { event, former } of candidates) {
    if (stored.get(identityOf(former))?.event.source === event.source) event.id = former.id
  }
}
