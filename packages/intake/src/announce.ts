/** Announcing: stored events are added to the feed, or else their partitions are marked dirty. */
import type { Publisher, RawEvent } from '@eventflow/core'
import { type Db, markDirty } from '@eventflow/db'

/**
 * Publishes events that are committed in Postgres, in the given order. If it is not certain that the feed has them, it
 * marks their partitions dirty, so that their owners catch up from Postgres. The mark is committed when the promise
 * resolves: before the sender of a key's next event gets its answer. Rejects if the mark cannot be set. `onUnpublished`
 * is called before marking.
 */
export type Announce = (events: readonly RawEvent[]) => Promise<void>

/** Creates the function that announces events. */
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
