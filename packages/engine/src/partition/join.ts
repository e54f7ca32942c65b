/** The way back from *postgres* to *stream*. */
import { markBroken, markWhole, readLastSeqs, readPartition, recordWaiting } from '@eventflow/db'
import { type PartitionDeps, restoreFeed } from './begin.js'
import { type PartitionIn, restart } from './partition.js'
import { uniteAll } from './scans.js'

/**
 * Sets the target of a partition in *postgres*: where its feed may be trusted again. The feed must be ready. Without
 * the lease the partition is given up. Resolves with false where the feed refuses and should be left alone for a while.
 */
export async function aimForFeed(partition: PartitionIn<'postgres'>, deps: PartitionDeps): Promise<boolean> {
  const { db, feed } = deps
  const { id, epoch, state } = partition
  // Counted first: what the feed loses from here on, it has lost since the target was set.
  const interruptions = deps.interruptions.count(id)
  const found = await restoreFeed(partition, deps)
  if (found === 'lease lost') restart(partition)
  if (found === 'lease lost' || found === 'redis away') return found === 'lease lost'
  const identity = await feed.identity(id)
  const lastEntryId = await feed.lastId(id)
  const known = await readPartition(db, { partition: id, epoch })
  // As where a partition is begun: the feed of before may come back.
  if (known && known.redisRunId !== null && known.redisRunId !== identity)
    await markBroken(db, { partition: id, epoch })
  // Read after the mark and the entries: an event that is not counted here was committed later, and so its mark was
  // raised, or its entry added, later too.
  const [last] = await readLastSeqs(db, [id])
  if (known) state.target = { dirty: known.dirty, identity, seq: last!, lastEntryId, interruptions }
  return true
}

/**
 * Goes from *postgres* to *stream*, everything up to the target being in hand. What only this worker knows is written
 * down first: the next owner will begin with the feed and with `retries`. Resolves with false, to aim again, when the
 * mark was raised meanwhile or the partition is to be begun again.
 *
 * Every event before the target is settled by then, or in `retries`, and stays so under every later owner. So their
 * entries can go: a stream full of them would have the mark raised again and again.
 */
export async function joinFeed(partition: PartitionIn<'postgres'>, deps: PartitionDeps): Promise<boolean> {
  const { db, feed, interruptions } = deps
  const { id, epoch, state } = partition
  const { target, hand } = state
  if (!target) return false
  state.target = undefined
  // Events published since the target was set may have been among what the feed has lost.
  if (target.interruptions !== interruptions.count(id)) return false
  const onlyHere = hand.keys.onlyHere()
  if (onlyHere.length > 0) {
    const events = onlyHere.map(({ event }) => event)
    if (!(await recordWaiting(db, { partition: id, epoch }, events))) return false
    for (const delivery of onlyHere) delivery.inRetries = true
  }
  if (!(await markWhole(db, { partition: id, epoch }, { dirty: target.dirty, redisRunId: target.identity }))) {
    await feed.removeUpTo(id, target.lastEntryId)
    return false
  }
  hand.scans = uniteAll(hand.scans)
  const joined: PartitionIn<'stream'>['state'] = {
    source: 'stream',
    hand,
    interruptions: target.interruptions,
    obsoleteUpTo: target.lastEntryId,
  }
  Object.assign(partition, { state: joined })
  return true
}
