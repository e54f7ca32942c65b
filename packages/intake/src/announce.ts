/** Announcing: stored events are added to the feed, or else their partitions are marked dirty. */
import type { Publisher, RawEvent } from '@eventflow/core'
import { type Db, markDirty } from '@eventflow/db'

/**
 * Publishes events that are committed in Postgres, in the given order. If it is not certain that the feed has them, it
 * marks their partitions dirty, so that their owners catch up from Postgres. The mark is committed when the promise
 * resolves: before the sender of a key's next event gets its answer. Rejects if the mark cannot be set. `onUnpublished`
 * is called before marking. `incarnation` is that of the ledger that has the events.
 */
export type Announce = (events: readonly RawEvent[], incarnation: number) => Promise<void>

/** Creates the function that announces events. */
export function createAnnouncer(deps: {
  db: Db
  publisher: Publisher
  /** Called before events are published; see `followIncarnation`. */
  onIncarnation: (incarnation: number) => Promise<boolean>
  onUnpublished: () => void
}): Announce {
  const { db, publisher, onIncarnation, onUnpublished } = deps
  return async (events, incarnation) => {
    if (events.length === 0) return
    const isCurrent = await onIncarnation(incarnation)
    const unpublished = isCurrent ? await publisher.publish(events) : new Set(events.map(({ partition }) => partition))
    if (unpublished.size === 0) return
    onUnpublished()
    await markDirty(db, [...unpublished])
  }
}
