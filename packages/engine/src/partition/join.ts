/** The transition from *postgres* back to *stream*. */
import { markBroken, markWhole, readLastSeqs, readPartition, recordWaiting } from '@eventflow/db'
import { type PartitionDeps, restoreFeed } from './begin.js'
import { type PartitionIn, restart } from './partition.js'
import { uniteAll } from './scans.js'

/**
 * Sets the target of a partition in *postgres*: the point from which its feed can be trusted again. The feed must be
 * ready. If the lease is lost, the partition is given up. Resolves with false if the feed refuses; then do not ask it
 * again for a while. Rejects when Postgres or the feed fails.
 */
export async function aimForFeed(partition: PartitionIn<'postgres'>, deps: PartitionDeps): Promise<boolean> {
  const { db, feed } = deps
  const { id, epoch, state } = partition
  // Read first: any loss of entries from now on changes the count.
  const interruptions = deps.interruptions.count(id)
  const found = await restoreFeed(partition, deps)
  if (found === 'lease lost') restart(partition)
  if (found === 'lease lost' || found === 'redis away') return found === 'lease lost'
  const identity = await feed.identity(id)
  // A feed that does not say who it is could be replaced unseen.
  if (identity === null) return false
  const lastEntryId = await feed.lastId(id)
  const known = await readPartition(db, { partition: id, epoch })
  // As in `reasonToCatchUp`: the previous Redis may come back.
  if (known && known.feedIdentity !== null && known.feedIdentity !== identity)
    await markBroken(db, { partition: id, epoch })
  // Read after the mark and the last entry: an event missing here was committed later, so its mark or its entry also
  // came later.
  const [last] = await readLastSeqs(db, [id])
  if (known) state.target = { dirty: known.dirty, identity, seq: last!, lastEntryId, interruptions }
  return true
}

/**
 * Goes from *postgres* to *stream*, once all events up to the target are settled or in memory. Events that only this
 * worker knows are first recorded in `retries`, because the next owner will begin with the feed and `retries`. Resolves
 * with false if the mark was raised meanwhile or the partition was given up; then the partition needs a new target.
 * Rejects when Postgres or the feed fails.
 *
 * Every event up to the target is now settled or in `retries`, whichever worker owns the partition, so the entries up
 * to the target are no longer needed. If the mark was raised meanwhile they are removed at once, because a full stream
 * would refuse new entries and so raise the mark again and again; otherwise they are removed as they are read.
 */
export async function joinFeed(partition: PartitionIn<'postgres'>, deps: PartitionDeps): Promise<boolean> {
  const { db, feed, interruptions } = deps
  const { id, epoch, state } = partition
  const { target, memory } = state
  if (!target) return false
  state.target = undefined
  // An event published since the target was set may have been lost in the interruption.
  if (target.interruptions !== interruptions.count(id)) return false
  const onlyHere = memory.keys.onlyHere()
  if (onlyHere.length > 0) {
    const events = onlyHere.map(({ event }) => event)
    if (!(await recordWaiting(db, { partition: id, epoch }, events))) return false
    for (const delivery of onlyHere) delivery.inRetries = true
  }
  if (!(await markWhole(db, { partition: id, epoch }, { dirty: target.dirty, feedIdentity: target.identity }))) {
    await feed.removeUpTo(id, target.lastEntryId)
    return false
  }
  memory.scans = uniteAll(memory.scans)
  const joined: PartitionIn<'stream'>['state'] = {
    source: 'stream',
    memory,
    interruptions: target.interruptions,
    obsoleteUpTo: target.lastEntryId,
    found: undefined,
  }
  Object.assign(partition, { state: joined })
  return true
}
