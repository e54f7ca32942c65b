/**
 * Finds duplicates of events that were stored by earlier versions, whose ids did not depend on the source. Needed for
 * some weeks after an upgrade.
 */
import { identityOf, isUuid } from '@eventflow/core'
import { type Db, findRawEvents, type NewEvent } from '@eventflow/db'

/**
 * Earlier versions stored an event whose id is a UUID under that UUID, for any source. Gives each such event among
 * `events` the id under which it was stored, so that it is recognized as a duplicate. Queries Postgres only if an event
 * has a source other than the default. Rejects when Postgres fails.
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
    const found = stored.get(identityOf(former))
    if (found !== undefined && found !== 'removed' && found.event.source === event.source) event.id = former.id
  }
}
