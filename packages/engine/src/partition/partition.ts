/**
 * A partition in the hands of its owner.
 *
 * - *new*: taken, or to be begun again after an error. Nothing of it is in hand.
 * - *retries*: its rows of `retries` are being loaded, in the order of acceptance, as far as there is room in memory.
 *   Until all of them are loaded nothing else of the partition is taken, so nothing overtakes them.
 * - *postgres*: its unsettled events are read from `raw_events` in the order of acceptance. It begins here when its
 *   stream may lack something, and stays here while the feed is away. One snapshot shows everything that was
 *   acknowledged before, so nothing can be overtaken, whatever the feed lacks.
 * - *stream*: its events come from the feed. The fence requires the partition's mark to be 0: once an event is accepted
 *   past the feed, nothing of the partition is settled from the feed any more, and the partition begins again.
 *
 * Where there are several tenants, a stream that is far behind is left for *postgres* too, where tenants are read
 * separately.
 *
 * A partition goes from *postgres* to *stream* once everything is in hand that was there when the mark was last read:
 * later events are in the feed, or raise the mark.
 */
import type { CatchUpReason, Delivery, EntryId } from '@eventflow/core'
import { createOpenEntries, type OpenEntries } from './entries.js'
import { createKeys, type Keys } from './keys.js'
import { type Scans, startScan } from './scans.js'

/** What the owner has in hand of a partition. */
export interface Hand {
  keys: Keys
  /** The entries that were read and are not acknowledged. */
  entries: OpenEntries
  /** How far it is read from Postgres; several scans only while it is in *postgres*. */
  scans: Scans
  /** The highest final seq, as it was last read, and when, on the monotonic clock. */
  final: { seq: number; readAt: number }
  /**
   * The seqs above the position that were settled since the partition was begun; not kept while there are several
   * scans.
   */
  settled: Set<number>
  /** The lowest seq that Postgres stores neither as processed nor as failed; Infinity when there is none. */
  refusedSeq: number
  /** The highest seq that was taken up from Postgres: entries up to it may hold settled events. */
  takenUpTo: number
}

/** Where the way back to the feed begins: the mark as it was read, and the last event and entry there were then. */
interface Target {
  dirty: number
  identity: string | null
  seq: number
  lastEntryId: EntryId
  interruptions: number
}

/** Why a partition that came from the feed is begun again from Postgres. */
export type RestartCause = Extract<CatchUpReason, 'interrupted' | 'behind'>

export type State =
  | { source: 'new'; cause: RestartCause | undefined }
  | {
      source: 'retries'
      cause: RestartCause | undefined
      hand: Hand
      /** The seq up to which the retries are loaded. */
      loadedUpTo: number
    }
  | {
      source: 'postgres'
      hand: Hand
      reason: CatchUpReason
      /** How many events were taken up from Postgres. */
      caughtUp: number
      target: Target | undefined
    }
  | {
      source: 'stream'
      hand: Hand
      /** The interruptions of the feed when it was last known to be whole: after one more it may lack something. */
      interruptions: number
      /** Entries up to this one are older than the catch-up, which has left nothing to do in them. */
      obsoleteUpTo: EntryId | undefined
    }

export interface Partition {
  readonly id: number
  readonly epoch: number
  state: State
  /**
   * This many events are processed separately: the last owners died with up to a batch in hand, and one of it may be
   * why.
   */
  suspects: number
  /** It is read strictly in the order of acceptance, so that the events with which the last owners died come first. */
  readonly inOrder: boolean
  /** When an event of it was last settled, or the partition was taken; on the monotonic clock, in milliseconds. */
  settledAt: number
  /** The latest event time of the events that this owner has settled, in milliseconds. */
  latestEventTime: number
}

/** A partition that is in this state. */
export type PartitionIn<Source extends State['source']> = Partition & { state: Extract<State, { source: Source }> }

export function newPartition(taken: { partition: number; epoch: number }, suspects: number): Partition {
  return {
    id: taken.partition,
    epoch: taken.epoch,
    state: { source: 'new', cause: undefined },
    suspects,
    inOrder: suspects > 0,
    settledAt: performance.now(),
    latestEventTime: Number.NEGATIVE_INFINITY,
  }
}

/** An empty hand; everything up to `watermark` is settled, or in `retries`. */
export function emptyHand(watermark: number, orderOf: (delivery: Delivery) => string): Hand {
  return {
    keys: createKeys(orderOf),
    entries: createOpenEntries(),
    scans: startScan(watermark),
    final: { seq: 0, readAt: Number.NEGATIVE_INFINITY },
    settled: new Set(),
    refusedSeq: Number.POSITIVE_INFINITY,
    takenUpTo: 0,
  }
}

/** Gives up what is in hand of a partition, which is begun again: its events are still where they came from. */
export function restart(partition: Partition, cause?: RestartCause): void {
  const { state } = partition
  const earlier = state.source === 'new' || state.source === 'retries' ? state.cause : undefined
  partition.state = { source: 'new', cause: cause ?? earlier }
}

/** What is in hand of a partition; nothing where it is to be begun. */
export function handOf(partition: Partition | undefined): Hand | undefined {
  return partition && partition.state.source !== 'new' ? partition.state.hand : undefined
}

/** Those of the partitions that are in this state. */
export function partitionsIn<Source extends State['source']>(
  partitions: Iterable<Partition>,
  source: Source,
): PartitionIn<Source>[] {
  const isIn = (partition: Partition): partition is PartitionIn<Source> => partition.state.source === source
  return [...partitions].filter(isIn)
}

/**
 * What may be processed now of the deliveries, by the keys of their partitions; deliveries of partitions that were
 * given up are left out.
 */
export function takeInAll(partitions: ReadonlyMap<number, Partition>, deliveries: readonly Delivery[]): Delivery[] {
  const byPartition = new Map<number, Delivery[]>()
  for (const delivery of deliveries) {
    const { partition } = delivery.event
    const others = byPartition.get(partition)
    if (others) others.push(delivery)
    else byPartition.set(partition, [delivery])
  }
  return [...byPartition].flatMap(([id, group]) => handOf(partitions.get(id))?.keys.takeIn(group) ?? [])
}

/** The entries in which nothing is left to do, once these deliveries are done. */
export function closeEntries(
  partitions: ReadonlyMap<number, Partition>,
  done: readonly Delivery[],
): { partition: number; id: EntryId }[] {
  return done.flatMap(({ event: { partition, seq }, entryIds }) =>
    (handOf(partitions.get(partition))?.entries.close(entryIds, seq) ?? []).map((id) => ({ partition, id })),
  )
}
