/**
 * A partition in the hands of its owner.
 *
 * - *new*: taken, or to be begun again after an error; nothing is known of it.
 * - *retries*: what waits in `retries` is being loaded, in the order of acceptance, as far as there is room in memory. Until all of it
 *   is, nothing else of the partition is taken, so nothing overtakes it.
 * - *postgres*: its unsettled events are read from `raw_events` in the order of acceptance. So it begins when the stream may
 *   lack something, and so it stays while Redis is away. One snapshot shows everything that was acknowledged before, so
 *   nothing can be overtaken here, whatever is missing in Redis.
 * - *stream*: its events come from the stream. The fence requires the partition's mark to be 0: once an event is accepted past
 *   the stream, nothing of the partition is settled from the stream any more, and it begins again.
 *
 * A stream that is far behind is left for *postgres* too where there are several tenants, which can be read apart there.
 *
 * From *postgres* it goes to *stream* once everything is in hand that was there when the mark was last read: what comes later
 * is in the stream, or raises the mark.
 */
import { type CatchUpReason, type Delivery, storedDelivery } from '@eventflow/core'
import {
  type Db,
  markBroken,
  markWhole,
  type PartitionState,
  readLastSeqs,
  readPartition,
  readRetries,
  recordWaiting,
  type WaitingRetry,
} from '@eventflow/db'
import {
  createGroup,
  hasGroup,
  NO_ENTRY_ID,
  type Redis,
  readLastEntryId,
  readRunId,
  removeUpTo,
} from '@eventflow/redis'
import { createOpenEntries, type OpenEntries } from './entries.js'
import { createKeys, type Keys } from './keys.js'
import { type Scans, startScan, uniteAll } from './scans.js'

/** Retries that are loaded by one statement. */
const RETRIES_AT_ONCE = 100

export interface Partition {
  readonly id: number
  readonly epoch: number
  source: 'new' | 'retries' | 'postgres' | 'stream'
  /** In *retries*: the seq up to which they are loaded. */
  retriesUpTo: number
  reason: CatchUpReason
  keys: Keys
  /** The stream entries in hand. */
  entries: OpenEntries
  /** How far it is read from Postgres; several scans only while it is in *postgres*. */
  scans: Scans
  /** The highest final seq, as it was last read, and when, on the monotonic clock. */
  final: { seq: number; readAt: number }
  /** The seqs above the position that were settled since the partition was begun, but for the times of several scans. */
  settled: Set<number>
  /** The lowest seq that Postgres takes neither as processed nor as dead; Infinity when there is none. */
  refusedSeq: number
  /** The highest seq that was taken up from Postgres: stream entries up to it may be of settled events. */
  takenUpTo: number
  /** Where the way back to the stream begins: the mark as it was read, and the last event there was then. */
  target: { dirty: number; redisRunId: string | null; seq: number; lastEntryId: string; losses: number } | undefined
  /** Stream entries up to this id are older than the catching up, which has left nothing of them to do. */
  obsoleteUpTo: string
  /** How many events were taken up from Postgres since it was begun. */
  caughtUp: number
  /** So many events are worked on apart: the last owners died with up to a batch in hand, and one of it may be why. */
  suspects: number
  /** It is read in nothing but the order of acceptance, so that what the last owners died with comes first. */
  readonly inOrder: boolean
  /** When something of it was settled last, or it was taken; on the monotonic clock, in milliseconds. */
  settledAt: number
  /** The latest time of its events, of those that this owner has settled, in milliseconds. */
  latestEventTime: number
  /** How many connections had been lost when its stream was last known to be whole: after one more it may lack something. */
  losses: number
  /** The Redis process whose stream that was. */
  runId: string | null
  /** Anything may have been lost from the stream since it was last read. */
  interrupted: boolean
  /** What was last read of its stream was far behind what is accepted by now, and there are other tenants. */
  behind: boolean
}

export function newPartition(taken: { partition: number; epoch: number }, suspects: number): Partition {
  return {
    id: taken.partition,
    epoch: taken.epoch,
    source: 'new',
    retriesUpTo: 0,
    reason: 'redis away',
    keys: createKeys(({ event }) => event.id),
    entries: createOpenEntries(),
    scans: startScan(0),
    final: { seq: 0, readAt: Number.NEGATIVE_INFINITY },
    settled: new Set(),
    refusedSeq: Number.POSITIVE_INFINITY,
    takenUpTo: 0,
    target: undefined,
    obsoleteUpTo: NO_ENTRY_ID,
    caughtUp: 0,
    suspects,
    inOrder: suspects > 0,
    settledAt: performance.now(),
    latestEventTime: Number.NEGATIVE_INFINITY,
    losses: 0,
    runId: null,
    interrupted: false,
    behind: false,
  }
}

/** What a partition needs of the world. */
export interface PartitionDeps {
  db: Db
  redis: Redis
  prefix: string
  orderOf: (delivery: Delivery) => string
  /** Whether more of a partition may wait in memory. */
  hasRoom: (partition: Partition) => boolean
  /** How many connections to Redis were lost so far. */
  losses: () => number
}

/**
 * Begins a partition: *new* → *retries* → *postgres*, or → *stream* where nothing speaks against it. Stays in *retries* while more
 * of them wait than there is room for; to be called again then. Gives false when the lease is lost.
 */
export async function begin(partition: Partition, deps: PartitionDeps): Promise<boolean> {
  const { db, redis, orderOf } = deps
  partition.losses = deps.losses()
  const state = await readPartition(db, { partition: partition.id, epoch: partition.epoch })
  if (!state) return false
  if (partition.source === 'new') {
    partition.source = 'retries'
    partition.retriesUpTo = 0
    partition.keys = createKeys(orderOf)
    partition.entries = createOpenEntries()
    partition.settled = new Set()
    partition.refusedSeq = Number.POSITIVE_INFINITY
    partition.takenUpTo = 0
    partition.caughtUp = 0
    partition.target = undefined
    partition.obsoleteUpTo = NO_ENTRY_ID
  }
  if (!(await loadRetries(partition, deps))) return true
  partition.scans = startScan(state.settledSeq)

  const reason = redis.status === 'ready' ? await reasonToCatchUp(partition, state, deps) : 'redis away'
  if (reason === 'lease lost') return false
  partition.source = reason ? 'postgres' : 'stream'
  if (reason) partition.reason = reason
  partition.interrupted = false
  partition.behind = false
  return true
}

/** Loads retries as long as there is room. Gives whether all of them are loaded. */
async function loadRetries(partition: Partition, { db, hasRoom }: PartitionDeps): Promise<boolean> {
  while (hasRoom(partition)) {
    const retries = await readRetries(db, partition.id, { after: partition.retriesUpTo, limit: RETRIES_AT_ONCE })
    holdRetries(partition, retries)
    partition.retriesUpTo = retries.at(-1)?.event.seq ?? partition.retriesUpTo
    if (retries.length < RETRIES_AT_ONCE) return true
  }
  return false
}

/** Has retries wait until they are due, each key's in the order given. */
export function holdRetries({ keys }: Partition, retries: readonly WaitingRetry[]): void {
  const now = performance.now()
  for (const { event, dueInMs, ...attempts } of retries) {
    if (keys.holds(event)) continue
    keys.hold({ ...storedDelivery(event), ...attempts, inRetries: true }, now + dueInMs)
  }
}

/** Whether the stream, with `retries`, holds everything that is acknowledged and unsettled; if not, why. */
async function reasonToCatchUp(
  partition: Partition,
  { dirty, redisRunId }: PartitionState,
  deps: PartitionDeps,
): Promise<CatchUpReason | 'lease lost' | undefined> {
  const group = await restoreGroup(partition, deps)
  if (group === 'lease lost' || group === 'redis away') return group
  if (group === 'made') return redisRunId === null ? 'first start' : 'stream lost'
  if (dirty > 0) return 'dirty'
  if (redisRunId === null) return 'stream lost'
  partition.runId = await readRunId(deps.redis)
  if (redisRunId !== partition.runId) {
    // Noted before anything else: the process of before may come back, as what it was and without what it has lost.
    return (await markBroken(deps.db, { partition: partition.id, epoch: partition.epoch }))
      ? 'redis restarted'
      : 'lease lost'
  }
  if (partition.interrupted) return 'interrupted'
  return partition.behind ? 'behind' : undefined
}

/**
 * Makes the stream and its group where they are gone. That is noted first, as nothing shows it after; and only the owner can
 * note it, so nothing is made once the lease is lost: the next owner would take the empty stream for a whole one. A Redis that
 * refuses to make it, for want of memory or of a right, or to say whether it is there, is as good as away.
 */
async function restoreGroup(
  { id, epoch }: Partition,
  { db, redis, prefix }: PartitionDeps,
): Promise<'there' | 'made' | 'lease lost' | 'redis away'> {
  const isThere = await hasGroup(redis, prefix, id)
  if (isThere !== false) return isThere ? 'there' : 'redis away'
  if (!(await markBroken(db, { partition: id, epoch }))) return 'lease lost'
  return (await createGroup(redis, prefix, id)) ? 'made' : 'redis away'
}

/**
 * Looks for the way back from *postgres* to *stream*; Redis must be there. Without the lease the partition is given up. Gives
 * whether it is to be looked for again soon.
 */
export async function aimForStream(partition: Partition, deps: PartitionDeps): Promise<boolean> {
  const { db, redis, prefix } = deps
  // Counted first: all that Redis loses from here on, it has lost since the target was set.
  const losses = deps.losses()
  const group = await restoreGroup(partition, deps)
  if (group === 'lease lost') partition.source = 'new'
  if (group === 'lease lost' || group === 'redis away') return group === 'lease lost'
  const redisRunId = await readRunId(redis)
  const lastEntryId = await readLastEntryId(redis, prefix, partition.id)
  const state = await readPartition(db, { partition: partition.id, epoch: partition.epoch })
  // As where a partition is begun: the Redis of before may come back.
  if (state && state.redisRunId !== null && state.redisRunId !== redisRunId)
    await markBroken(db, { partition: partition.id, epoch: partition.epoch })
  // Read after the mark and the entries: what is not counted in here was committed later, and then its mark was raised, or its
  // entry added, later too.
  const [last] = await readLastSeqs(db, [partition.id])
  if (state) partition.target = { dirty: state.dirty, redisRunId, seq: last!, lastEntryId, losses }
  return true
}

/**
 * Goes from *postgres* to *stream*, everything up to the target being in hand. What only this worker knows of is written down
 * first: the next owner will begin with the stream and with `retries`. Gives false, to aim again, when the mark was raised
 * meanwhile or the partition is to be begun again.
 *
 * Whatever came before the target is settled by then, or in `retries`, and stays so, whoever the owner is. So its entries can
 * go: a stream that is full of them would have the mark raised again and again.
 */
export async function joinStream(partition: Partition, deps: PartitionDeps): Promise<boolean> {
  const { id, epoch, target } = partition
  if (!target || partition.source !== 'postgres') return false
  partition.target = undefined
  // What was sent since the target was set may have been in what Redis has lost.
  if (target.losses !== deps.losses()) return false
  const onlyHere = partition.keys.onlyHere()
  if (onlyHere.length > 0) {
    const events = onlyHere.map(({ event }) => event)
    if (!(await recordWaiting(deps.db, { partition: id, epoch }, events))) return false
    for (const delivery of onlyHere) delivery.inRetries = true
  }
  if (!(await markWhole(deps.db, { partition: id, epoch }, target))) {
    await removeUpTo(deps.redis, deps.prefix, id, target.lastEntryId)
    return false
  }
  partition.source = 'stream'
  partition.losses = target.losses
  partition.runId = target.redisRunId
  partition.scans = uniteAll(partition.scans)
  partition.obsoleteUpTo = target.lastEntryId
  return true
}

/** What may be processed now of the deliveries, by the keys of their partitions; what was given up meanwhile is left out. */
export function admitAll(partitions: ReadonlyMap<number, Partition>, deliveries: readonly Delivery[]): Delivery[] {
  const byPartition = new Map<number, Delivery[]>()
  for (const delivery of deliveries) {
    const { partition } = delivery.event
    const others = byPartition.get(partition)
    if (others) others.push(delivery)
    else byPartition.set(partition, [delivery])
  }
  return [...byPartition].flatMap(([id, group]) => partitions.get(id)?.keys.admit(group) ?? [])
}

/** The stream entries that have nothing more to be done in them, once these deliveries are done. */
export function closeEntries(
  partitions: ReadonlyMap<number, Partition>,
  done: readonly Delivery[],
): { partition: number; id: string }[] {
  return done.flatMap(({ event: { partition, seq }, entryIds }) =>
    (partitions.get(partition)?.entries.close(entryIds, seq) ?? []).map((id) => ({ partition, id })),
  )
}
