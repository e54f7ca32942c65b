/** Beginning a partition: its states *new* → *retries* → *postgres* or *stream*. */
import { type CatchUpReason, type Delivery, type Feed, storedDelivery } from '@eventflow/core'
import {
  type Db,
  findBrokenLeases,
  markBroken,
  type PartitionState,
  readArrivals,
  readLastSeqs,
  readOpenHolds,
  readPartition,
  readRetries,
  renewIncarnation,
  type WaitingRetry,
  withTransaction,
} from '@eventflow/db'
import type { Inherited } from './holds.js'
import type { Interruptions } from './interruptions.js'
import { type Memory, newMemory, type Partition } from './partition.js'

/** Rows of `retries` that one statement loads. */
const RETRIES_AT_ONCE = 100

/** What the functions that change the state of a partition need. */
export interface PartitionDeps {
  db: Db
  feed: Feed
  orderOf: (delivery: Delivery) => string
  /** Whether the partition may hold more blocked events in memory. */
  hasRoom: (partition: Partition) => boolean
  interruptions: Interruptions
  /** Called with the incarnation of the ledger; see `followIncarnation`. */
  onIncarnation: (incarnation: number) => Promise<unknown>
}

/**
 * Begins a partition. It stays in *retries* while memory has no room for the remaining retries; call it again when it
 * has. Resolves with false if the lease is lost. Rejects when Postgres or the feed fails, or if the partition has
 * already begun.
 */
export async function begin(partition: Partition, deps: PartitionDeps): Promise<boolean> {
  const { db, feed, orderOf } = deps
  const { id, epoch } = partition
  // Read first: any loss of entries from now on changes the count.
  const interruptions = deps.interruptions.count(id)
  const known = await readPartition(db, { partition: id, epoch })
  if (!known) return false
  if (!known.sameHistory) {
    await renewIncarnation(db, { known: false })
    return false
  }
  await deps.onIncarnation(known.incarnation)
  if (partition.state.source === 'new') {
    const { cause } = partition.state
    const inherited = await readInherited(db, partition)
    if (!inherited) return false
    const memory = newMemory(known.settledSeq, orderOf, inherited)
    partition.state = { source: 'retries', cause, memory, loadedUpTo: 0 }
  }
  const { state } = partition
  if (state.source !== 'retries') throw new Error(`a partition in '${state.source}' has already begun`)
  if (!(await loadRetries(partition, state, deps))) return true

  const { memory, cause } = state
  memory.holds.knowUpTo(0)
  const reason = feed.isReady() ? await reasonToCatchUp(partition, known, cause, deps) : 'redis away'
  if (reason === 'lease lost') return false
  if (reason) partition.state = { source: 'postgres', memory, reason, caughtUp: 0, target: undefined }
  else {
    // In this order: the seq of an entry was assigned before it was added.
    const foundUpTo = await feed.lastId(id)
    const { lastSeq } = await readArrivals(db)
    partition.state = {
      source: 'stream',
      memory,
      interruptions,
      obsoleteUpTo: undefined,
      found: { upTo: foundUpTo, lastSeq },
    }
  }
  return true
}

/**
 * Reads the holds in the log, and the last seq, up to which there may be an event that they are for. It waits for a
 * transaction of this lane whose answer was lost: that may still write some. Resolves with undefined if the lease is
 * lost.
 */
function readInherited(db: Db, { id, epoch }: Partition): Promise<Inherited | undefined> {
  return withTransaction(db, async (tx) => {
    if ((await findBrokenLeases(tx, [{ partition: id, epoch, dirty: null }])).length > 0) return undefined
    const open = (await readOpenHolds(tx, [id])).get(id)!
    return { open, upTo: open.size === 0 ? 0 : (await readLastSeqs(tx, [id]))[0]! }
  })
}

/** Loads retries as long as there is room. Resolves with true when all of them are loaded. */
async function loadRetries(
  partition: Partition,
  state: { memory: Memory; loadedUpTo: number },
  { db, hasRoom }: PartitionDeps,
): Promise<boolean> {
  while (hasRoom(partition)) {
    const retries = await readRetries(db, partition.id, { after: state.loadedUpTo, limit: RETRIES_AT_ONCE })
    blockRetries(state.memory, retries)
    state.loadedUpTo = retries.at(-1)?.event.seq ?? state.loadedUpTo
    if (retries.length < RETRIES_AT_ONCE) return true
  }
  return false
}

/** Blocks the keys of these retries until they are due, in the given order within each key. */
export function blockRetries({ keys }: Memory, retries: readonly WaitingRetry[]): void {
  const now = performance.now()
  for (const { event, dueInMs, ...attempts } of retries) {
    if (keys.has(event)) continue
    keys.block({ ...storedDelivery(event), ...attempts, inRetries: true }, now + dueInMs)
  }
}

/**
 * Resolves with undefined if the feed and `retries` together have every unsettled event, else with the reason to catch
 * up.
 */
async function reasonToCatchUp(
  partition: Partition,
  { dirty, feedIdentity: knownIdentity }: PartitionState,
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
    // Recorded before anything else: the previous Redis may come back without the entries it has lost.
    return (await markBroken(db, { partition: id, epoch })) ? 'redis restarted' : 'lease lost'
  }
  return cause
}

/**
 * Creates the feed of a partition if it does not exist. Before that, the loss is recorded in Postgres: once the feed is
 * created, nothing shows that it was lost. Only the owner can record it, so nothing is created after the lease is lost;
 * otherwise the next owner would take the empty feed for complete. A feed that refuses to create the partition, or to
 * say whether it exists, counts as away.
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
