/**
 * Reads a lane's entries from its feed: first the pending entries of a partition, then new ones.
 *
 * What was read after an interruption is discarded: the feed may have lost an earlier event.
 */
import type { Delivery, Entry, Feed } from '@eventflow/core'
import { type Db, findSettled, markDirty } from '@eventflow/db'
import type { Logger, WorkerMetrics } from '@eventflow/runtime'
import { BATCH } from '../batch/batch.js'
import { mayBeSettled } from '../partition/catch-up.js'
import { deliveriesOf, seqsOf } from '../partition/entries.js'
import { closeEntries, memoryOf, type Partition, type PartitionIn, restart, takeInAll } from '../partition/partition.js'
import type { LaneState } from './lane-state.js'

/** The target size of one read, in bytes. */
const READ_BYTES = 16 * 1_048_576

export interface ReaderDeps {
  db: Db
  feed: Feed
  log: Logger
  metrics: WorkerMetrics
}

export interface Reader {
  /** Whether the feed was not interrupted since the partition was begun, so that reads of it leave no gap. */
  isUnbroken(partition: Partition): boolean
  /**
   * Takes over the pending entries of a partition, in order, a group at a time; it yields the next group when the
   * caller has finished the previous one. Ends early after an interruption.
   */
  claim(partition: PartitionIn<'stream'>): AsyncGenerator<Entry[]>
  /**
   * Resolves with the events of these entries that may be processed now. Removes entries whose events are all settled.
   */
  unpackEntries(entries: readonly Entry[]): Promise<Delivery[]>
  /** Reads new entries of these partitions and unpacks them. Waits up to `waitMs` milliseconds for the first one. */
  read(streaming: readonly PartitionIn<'stream'>[], waitMs: number): Promise<Delivery[]>
}

/** Creates the reader of a lane. Its functions reject when Postgres or the feed fails. */
export function createReader(
  { db, feed, log, metrics }: ReaderDeps,
  { partitions, interruptions }: Pick<LaneState, 'partitions' | 'interruptions'>,
): Reader {
  const size = createReadSize()

  const isUnbroken = ({ id, state }: Partition) =>
    state.source === 'stream' && state.interruptions === interruptions.count(id)

  /** The previous owner may have settled these events, so they are looked up before they are processed. */
  async function* claim(partition: PartitionIn<'stream'>): AsyncGenerator<Entry[]> {
    const { memory } = partition.state
    for await (const entries of feed.claim(partition.id)) {
      if (!isUnbroken(partition)) return
      metrics.entriesClaimed.inc(entries.length)
      for (const entry of entries) memory.takenUpTo = Math.max(memory.takenUpTo, seqsOf(entry).highest)
      yield entries
    }
  }

  function isObsolete({ partition, id }: Entry): boolean {
    const state = partitions.get(partition)?.state
    return state?.source === 'stream' && state.obsoleteUpTo !== undefined && !feed.isLater(id, state.obsoleteUpTo)
  }

  function isForgotten({ partition, id }: Entry, events: readonly Delivery[]): boolean {
    const state = partitions.get(partition)?.state
    if (state?.source !== 'stream' || !state.found || feed.isLater(id, state.found.upTo)) return false
    return events.some(({ event }) => event.seq > state.found!.lastSeq)
  }

  async function unpackEntries(entries: readonly Entry[]): Promise<Delivery[]> {
    const useless: Entry[] = []
    const brought: Delivery[] = []
    for (const entry of entries) {
      const events = isObsolete(entry) ? [] : deliveriesOf(entry)
      const deliveries = isForgotten(entry, events) ? [] : events
      if (deliveries.length === 0) useless.push(entry)
      else
        memoryOf(partitions.get(entry.partition))?.entries.open(
          entry.id,
          new Set(deliveries.map(({ event }) => event.seq)),
        )
      brought.push(...deliveries)
    }
    await markForeign(useless.filter((entry) => !isObsolete(entry)))
    const doubtful = brought.map(({ event }) => event).filter((event) => mayBeSettled(event, partitions))
    const settled = doubtful.length > 0 ? await findSettled(db, doubtful) : new Set<number>()
    const isSettled = ({ event }: Delivery) => settled.size > 0 && settled.has(event.seq)
    metrics.duplicates.inc(settled.size)
    await feed.acknowledge([...useless, ...closeEntries(partitions, brought.filter(isSettled))])
    const unsettled = brought.filter((delivery) => !isSettled(delivery))
    return takeInAll(partitions, unsettled)
  }

  /**
   * A foreign entry, or one of an event that Postgres has forgotten, may have replaced one of ours. So its partition is
   * marked dirty, and all its unsettled events are read from Postgres. The mark comes before the entry is removed:
   * without it, the next owner would take the rest of the stream for complete.
   */
  async function markForeign(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return
    log.warn(
      { entries: entries.map(({ id }) => id) },
      'removing entries that this installation did not write, or whose events its database has forgotten',
    )
    metrics.foreignEntries.inc(entries.length)
    await markDirty(db, [...new Set(entries.map(({ partition }) => partition))])
  }

  async function read(streaming: readonly PartitionIn<'stream'>[], waitMs: number): Promise<Delivery[]> {
    if (!streaming.every(isUnbroken)) return []
    const ids = streaming.map(({ id }) => id)
    const count = Math.ceil(size.entries() / streaming.length)
    const { entries, strays, interrupted } = await feed.read(ids, { count, blockMs: waitMs })
    if (interrupted) return giveUp(streaming)
    const ours = entries.filter(({ partition }) => !strays.includes(partition))
    // Claimed again, together with the entries just read, so that they are in order.
    const claimed: Entry[] = []
    for (const partition of streaming) {
      if (strays.includes(partition.id)) for await (const some of claim(partition)) claimed.push(...some)
    }
    if (!streaming.every(isUnbroken)) return giveUp(streaming)
    const received = await unpackEntries([...ours, ...claimed])
    size.learn(entries, received.length)
    return received
  }

  /**
   * Entries that were read and are not used are pending under the lane's own name, where no later read finds them. So
   * all partitions of the read begin again, and claim them; also those that were not interrupted.
   */
  function giveUp(streaming: readonly Partition[]): Delivery[] {
    for (const partition of streaming) restart(partition, 'interrupted')
    return []
  }

  return { isUnbroken, claim, unpackEntries, read }
}

/** The number of entries for one read: enough for about one batch of events, and at most READ_BYTES. */
function createReadSize() {
  /** Recent average of events per entry, which depends on how clients send. */
  let eventsPerEntry = 1
  /**
   * Recent size of the largest entry of a read. The initial value is the largest size of an entry with several events.
   */
  let bytesPerEntry = 65_536
  return {
    entries: () => Math.min(BATCH / eventsPerEntry, READ_BYTES / bytesPerEntry),
    learn(entries: readonly Entry[], events: number): void {
      if (entries.length === 0) return
      eventsPerEntry = Math.max(1, (3 * eventsPerEntry + events / entries.length) / 4)
      const largest = Math.max(...entries.map(({ text }) => text?.length ?? 0))
      bytesPerEntry = Math.max(largest, (3 * bytesPerEntry + largest) / 4)
    },
  }
}
