/**
 * What a lane takes from its feed: the pending entries when it begins with a partition, then new ones.
 *
 * Nothing counts that was read after an interruption since the partition was begun: an event that came before it may be
 * gone.
 */
import { type Delivery, type Entry, type Feed, identityOf } from '@eventflow/core'
import { type Db, findSettled, markDirty } from '@eventflow/db'
import type { Logger, WorkerMetrics } from '@eventflow/runtime'
import { BATCH } from '../batch/batch.js'
import { mayBeSettled } from '../partition/catch-up.js'
import { deliveriesOf, seqsOf } from '../partition/entries.js'
import { closeEntries, handOf, type Partition, type PartitionIn, restart, takeInAll } from '../partition/partition.js'
import type { LaneState } from './lane-state.js'

/** What one read should bring at most, in bytes. */
const READ_BYTES = 16 * 1_048_576

export interface ReaderDeps {
  db: Db
  feed: Feed
  log: Logger
  metrics: WorkerMetrics
}

export interface Reader {
  /** Whether what is read of a partition now follows what was read of it before. */
  isUnbroken(partition: Partition): boolean
  /**
   * Takes over the pending entries of a partition, in order, a group at a time: the next group when the caller is done
   * with the one before. Ends early after an interruption.
   */
  claim(partition: PartitionIn<'stream'>): AsyncGenerator<Entry[]>
  /** The events of entries that may be processed now. Entries of events that are settled already are removed. */
  unpackEntries(entries: readonly Entry[]): Promise<Delivery[]>
  /** Reads new entries of these partitions and unpacks them; waits up to `waitMs` for the first. */
  read(streaming: readonly PartitionIn<'stream'>[], waitMs: number): Promise<Delivery[]>
}

export function createReader(
  { db, feed, log, metrics }: ReaderDeps,
  { partitions, interruptions }: Pick<LaneState, 'partitions' | 'interruptions'>,
): Reader {
  const size = createReadSize()

  const isUnbroken = ({ id, state }: Partition) =>
    state.source === 'stream' && state.interruptions === interruptions.count(id)

  /** The owner before may have settled them: they are looked up before they are processed. */
  async function* claim(partition: PartitionIn<'stream'>): AsyncGenerator<Entry[]> {
    const { hand } = partition.state
    for await (const entries of feed.claim(partition.id)) {
      if (!isUnbroken(partition)) return
      metrics.entriesClaimed.inc(entries.length)
      for (const entry of entries) hand.takenUpTo = Math.max(hand.takenUpTo, seqsOf(entry).highest)
      yield entries
    }
  }

  function isObsolete({ partition, id }: Entry): boolean {
    const state = partitions.get(partition)?.state
    return state?.source === 'stream' && state.obsoleteUpTo !== undefined && !feed.isLater(id, state.obsoleteUpTo)
  }

  async function unpackEntries(entries: readonly Entry[]): Promise<Delivery[]> {
    const useless: Entry[] = []
    const brought: Delivery[] = []
    for (const entry of entries) {
      const deliveries = isObsolete(entry) ? [] : deliveriesOf(entry)
      if (deliveries.length === 0) useless.push(entry)
      else
        handOf(partitions.get(entry.partition))?.entries.open(
          entry.id,
          new Set(deliveries.map(({ event }) => event.seq)),
        )
      brought.push(...deliveries)
    }
    await markForeign(useless.filter((entry) => !isObsolete(entry)))
    const doubtful = brought.map(({ event }) => event).filter((event) => mayBeSettled(event, partitions))
    const settled = doubtful.length > 0 ? await findSettled(db, doubtful) : new Set()
    const isSettled = ({ event }: Delivery) => settled.size > 0 && settled.has(identityOf(event))
    metrics.duplicates.inc(settled.size)
    await feed.acknowledge([...useless, ...closeEntries(partitions, brought.filter(isSettled))])
    const unsettled = brought.filter((delivery) => !isSettled(delivery))
    return takeInAll(partitions, unsettled)
  }

  /**
   * Foreign entries may have been put in the place of ours: their partitions are marked, so
   * that all their unsettled events are read from Postgres. The marks come before the entries are removed: without
   * them the next owner would take the rest of the stream for the whole.
   */
  async function markForeign(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return
    log.warn({ entries: entries.map(({ id }) => id) }, 'removing entries that this installation did not write')
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
    // Claimed anew with what was read just now, and so in order.
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
   * Entries that were read and are not used are pending under the lane's own name, where no later read finds them. So all partitions of the
   * read begin again, and claim them; also those that were not interrupted.
   */
  function giveUp(streaming: readonly Partition[]): Delivery[] {
    for (const partition of streaming) restart(partition, 'interrupted')
    return []
  }

  return { isUnbroken, claim, unpackEntries, read }
}

/** How many entries a read asks for: about one batch of events, and at most READ_BYTES. */
function createReadSize() {
  /** How many events an entry brought lately; it depends on how they are sent. */
  let eventsPerEntry = 1
  /** How large entries were lately, the largest of each read; at first as large as entries of several events may be. */
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
