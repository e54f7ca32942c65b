/**
 * A partition as its owner works on it.
 *
 * - *new*: just taken, or to be begun again after an error. It has no events in memory.
 * - *retries*: its rows of `retries` are being loaded, in the order of acceptance, as far as memory has room. Until all
 *   are loaded, nothing else of the partition is read, so nothing overtakes them.
 * - *postgres*: its unsettled events are read from `raw_events` in the order of acceptance. A partition begins here if
 *   its stream may lack events, and stays here while the feed is away. One snapshot shows all events that were
 *   acknowledged before, so nothing can be overtaken, no matter what the feed lacks.
 * - *stream*: its events come from the feed. The fence requires that the partition's mark is 0. Once an event was
 *   accepted without being published, nothing more is settled from the feed, and the partition begins again.
 *
 * With several tenants, a partition also goes to *postgres* if its stream is far behind, because Postgres is read for
 * each tenant separately.
 *
 * A partition goes from *postgres* to *stream* once it has read all events that existed when the mark was last read:
 * later events are in the feed or raise the mark.
 */
import type { CatchUpReason, Delivery, EntryId } from '@eventflow/core'
import { createOpenEntries, type OpenEntries } from './entries.js'
import { createHolds, type Holds, type Inherited } from './holds.js'
import { createKeys, type Keys } from './keys.js'
import { type Scans, startScan } from './scans.js'

/** What the owner keeps in memory for a partition that has begun. */
export interface Memory {
  keys: Keys
  holds: Holds
  /** The entries that were read and are not yet acknowledged. */
  entries: OpenEntries
  /** How far the partition was read from Postgres. There are several scans only in *postgres*. */
  scans: Scans
  /**
   * The highest final seq as last read, and when it was read, on the monotonic clock. No event can appear at or below a
   * final seq.
   */
  final: { seq: number; readAt: number }
  /**
   * The seqs above the position that were settled since the partition began. Not filled while there are several scans.
   */
  settled: Set<number>
  /** The lowest seq that Postgres can store neither as processed nor as failed; Infinity if there is none. */
  refusedSeq: number
  /** The highest seq read from Postgres or claimed: entries up to it may have settled events. */
  takenUpTo: number
}

/**
 * The point from which the feed can be trusted again: the mark as it was read, and the last event and entry at that
 * time.
 */
interface Target {
  dirty: number
  identity: string
  seq: number
  lastEntryId: EntryId
  interruptions: number
}

/** Why a partition that read from the feed begins again from Postgres. */
export type RestartCause = Extract<CatchUpReason, 'interrupted' | 'behind'>

export type State =
  | { source: 'new'; cause: RestartCause | undefined }
  | {
      source: 'retries'
      cause: RestartCause | undefined
      memory: Memory
      /** The seq up to which `retries` was loaded. */
      loadedUpTo: number
    }
  | {
      source: 'postgres'
      memory: Memory
      reason: CatchUpReason
      /** The number of events read from Postgres in this catch-up. */
      caughtUp: number
      target: Target | undefined
    }
  | {
      source: 'stream'
      memory: Memory
      /**
       * The interruptions of the feed when it was last known to be complete. Once the count is higher, the feed may
       * lack events.
       */
      interruptions: number
      /** Entries up to this one are from before the catch-up, which has dealt with all their events. */
      obsoleteUpTo: EntryId | undefined
      /**
       * The newest entry when the partition began, and the last seq that was assigned by then. An entry up to it with a
       * higher seq is of an event that Postgres has forgotten. Undefined after a catch-up, when such entries are
       * obsolete.
       */
      found: { upTo: EntryId; lastSeq: number } | undefined
    }

export interface Partition {
  readonly id: number
  readonly epoch: number
  state: State
  /**
   * The number of events that are still processed separately, because one of them may have crashed the last owners. See
   * suspects.ts.
   */
  suspects: number
  /**
   * The partition is read strictly in the order of acceptance, so that the events that may have crashed the last owners
   * come first.
   */
  readonly inOrder: boolean
  /**
   * When an event of the partition was last settled, or else when the partition was taken; in milliseconds on the
   * monotonic clock.
   */
  settledAt: number
  /** The latest event time of the events that this owner has settled, in milliseconds. */
  latestEventTime: number
}

/** A partition in this state. */
export type PartitionIn<Source extends State['source']> = Partition & { state: Extract<State, { source: Source }> }

/** Returns a partition that was just taken. `suspects`: how many of its events may have crashed its last owners. */
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

/** The memory of a partition that begins. Everything up to `watermark` is settled or in `retries`. */
export function newMemory(watermark: number, orderOf: (delivery: Delivery) => string, inherited?: Inherited): Memory {
  const holds = createHolds(inherited)
  return {
    keys: createKeys(orderOf, holds.wait),
    holds,
    entries: createOpenEntries(),
    scans: startScan(watermark),
    final: { seq: 0, readAt: Number.NEGATIVE_INFINITY },
    settled: new Set(),
    refusedSeq: Number.POSITIVE_INFINITY,
    takenUpTo: 0,
  }
}

/**
 * Forgets what is in memory for a partition, which then begins again. No event is lost: the feed and Postgres still
 * have them.
 */
export function restart(partition: Partition, cause?: RestartCause): void {
  const { state } = partition
  const earlier = state.source === 'new' || state.source === 'retries' ? state.cause : undefined
  partition.state = { source: 'new', cause: cause ?? earlier }
}

/** What is in memory for a partition; undefined if it has not begun. */
export function memoryOf(partition: Partition | undefined): Memory | undefined {
  return partition && partition.state.source !== 'new' ? partition.state.memory : undefined
}

/** The partitions that are in this state. */
export function partitionsIn<Source extends State['source']>(
  partitions: Iterable<Partition>,
  source: Source,
): PartitionIn<Source>[] {
  const isIn = (partition: Partition): partition is PartitionIn<Source> => partition.state.source === source
  return [...partitions].filter(isIn)
}

/**
 * Passes deliveries through the keys of their partitions and returns those that may be processed now. Leaves out
 * deliveries of partitions that were given up.
 */
export function takeInAll(partitions: ReadonlyMap<number, Partition>, deliveries: readonly Delivery[]): Delivery[] {
  const byPartition = new Map<number, Delivery[]>()
  for (const delivery of deliveries) {
    const { partition } = delivery.event
    const others = byPartition.get(partition)
    if (others) others.push(delivery)
    else byPartition.set(partition, [delivery])
  }
  return [...byPartition].flatMap(([id, group]) => memoryOf(partitions.get(id))?.keys.takeIn(group) ?? [])
}

/** Closes these deliveries in their entries. Returns the entries that can be acknowledged. */
export function closeEntries(
  partitions: ReadonlyMap<number, Partition>,
  done: readonly Delivery[],
): { partition: number; id: EntryId }[] {
  return done.flatMap(({ event: { partition, seq }, entryIds }) =>
    (memoryOf(partitions.get(partition))?.entries.close(entryIds, seq) ?? []).map((id) => ({ partition, id })),
  )
}
