/** Announcing: stored events go into the feed, or their partitions are marked as dirty. */
import type { Publisher, RawEvent } from '@eventflow/core'
import { type Db, markDirty } from '@eventflow/db'

/**
 * Publishes events that are committed in Postgres, in the given order. Where it is not certain that the feed has them,
 * their partitions are marked as dirty, so that their owners catch up from Postgres. The mark is committed when this
 * resolves: the sender of the next event of a key must find it made. Rejects when it cannot be made; `onUnpublished` is
 * called before.
 */
export type Announce = (events: readonly RawEvent[]) => Promise<void>

export function createAnnouncer(deps: { db: Db; publisher: Publisher; onUnpublished: () => void }): Announce {
  const { db, publisher, onUnpublished } = deps
  return async (events) => {
    if (events.length === 0) return
    const unpublished = await publisher.publish(events)
    if (unpublished.size === 0) return
    onUnpublished()
    await markDirty(db, [...unpublished])
  }
}
