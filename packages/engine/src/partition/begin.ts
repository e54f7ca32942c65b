/** Beginning a partition: *new* → *retries* → *postgres* or *stream*. */
import { type CatchUpReason, type Delivery, type Feed, storedDelivery } from '@eventflow/core'
import { type Db, markBroken, type PartitionState, readPartition, readRetries, type WaitingRetry } from '@eventflow/db'
import type { Interruptions } from './interruptions.js'
import { emptyHand, type Hand, type Partition } from './partition.js'

/** Retries that are loaded by one statement. */
const RETRIES_AT_ONCE = 100

/** What the states of a partition are decided with. */
export interface PartitionDeps {
  db: Db
  feed: Feed
  orderOf: (delivery: Delivery) => string
  /** Whether more events of a partition may wait in memory. */
  hasRoom: (partition: Partition) => boolean
  interruptions: Interruptions
}

/**
 * Begins a partition. It stays in *retries* while more of them wait than there is room for; call it again then.
 * Resolves with false when the lease is lost.
 */
export async function begin(partition: Partition, deps: PartitionDeps): Promise<boolean> {
  const { db, feed, orderOf } = deps
  const { id, epoch } = partition
  // Counted first: what the feed loses from here on, it has lost since it was known to be whole.
  const interruptions = deps.interruptions.count(id)
  const known = await readPartition(db, { partition: id, epoch })
  if (!known) return false
  if (partition.state.source === 'new') {
    const { cause } = partition.state
    partition.state = { source: 'retries', cause, hand: emptyHand(known.settledSeq, orderOf), loadedUpTo: 0 }
  }
  const { state } = partition
  if (state.source !== 'retries') throw new Error(`a partition in '${state.source}' is begun already`)
  if (!(await loadRetries(partition, state, deps))) return true

  const { hand, cause } = state
  const reason = feed.isReady() ? await reasonToCatchUp(partition, known, cause, deps) : 'redis away'
  if (reason === 'lease lost') return false
  partition.state = reason
    ? { source: 'postgres', hand, reason, caughtUp: 0, target: undefined }
    : { source: 'stream', hand, interruptions, obsoleteUpTo: undefined }
  return true
}

/** Loads retries as long as there is room. Resolves with whether all of them are loaded. */
async function loadRetries(
  partition: Partition,
  state: { hand: Hand; loadedUpTo: number },
  { db, hasRoom }: PartitionDeps,
): Promise<boolean> {
  while (hasRoom(partition)) {
    const retries = await readRetries(db, partition.id, { after: state.loadedUpTo, limit: RETRIES_AT_ONCE })
    holdRetries(state.hand, retries)
    state.loadedUpTo = retries.at(-1)?.event.seq ?? state.loadedUpTo
    if (retries.length < RETRIES_AT_ONCE) return true
  }
  return false
}

/** Blocks the keys of these retries until they are due, each key's in the order given. */
export function holdRetries({ keys }: Hand, retries: readonly WaitingRetry[]): void {
  const now = performance.now()
  for (const { event, dueInMs, ...attempts } of retries) {
    if (keys.holds(event)) continue
    keys.hold({ ...storedDelivery(event), ...attempts, inRetries: true }, now + dueInMs)
  }
}

/** Whether the feed, with `retries`, holds everything that is acknowledged and unsettled; if not, why. */
async function reasonToCatchUp(
  partition: Partition,
  { dirty, redisRunId: knownIdentity }: PartitionState,
  cause: CatchUpReason | undefined,
  deps: PartitionDeps,
): Promise<CatchUpReason | 'lease lost' | undefined> {
  const { db, feed } = deps
  const { id, epoch } = partition
  const found = await restoreFeed(partition, deps)
  if (found === 'lease lost' || found === 'redis away') return found
  if (found === 'created') return knownIdentity === null ? 'first start' : 'stream lost'
  if (dirty > 0) return 'dirty'
  if (knownIdentity === null) return 'stream lost'
  if (knownIdentity !== (await feed.identity(id))) {
    // Noted before anything else: the feed of before may come back, without what it has lost.
    return (await markBroken(db, { partition: id, epoch })) ? 'redis restarted' : 'lease lost'
  }
  return cause
}

/**
 * Creates the feed of a partition where it is gone. That is noted in Postgres first, since nothing shows it afterwards;
 * and only the owner can note it, so nothing is created once the lease is lost: the next owner would take the empty
 * feed for a whole one. A feed that refuses to create it, or to say whether it exists, is treated as away.
 */
export async function restoreFeed(
  { id, epoch }: Partition,
  { db, feed }: PartitionDeps,
): Promise<'there' | 'created' | 'lease lost' | 'redis away'> {
  const exists = await feed.exists(id)
  if (exists !== false) return exists ? 'there' : 'redis away'
  if (!(await markBroken(db, { partition: id, epoch }))) return 'lease lost'
  return (await feed.create(id)) ? 'created' : 'redis away'
}
