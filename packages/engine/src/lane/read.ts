/**
 * What a lane takes from its streams: what is pending when it begins with one, then what is new.
 *
 * A stream is worth only what its Redis remembers, and between two connections it may have lost anything. So nothing counts
 * that was read after a connection was lost since the partition was begun: an event that came before it may be gone.
 */
import { type Delivery, identityOf } from '@eventflow/core'
import { findSettled, markDirty } from '@eventflow/db'
import {
  acknowledge,
  claimPending,
  type Entry,
  identify,
  isLaterEntry,
  NO_ENTRY_ID,
  type Redis,
  readNew,
  type Seal,
} from '@eventflow/redis'
import { BATCH } from '../batch/batch.js'
import { mayBeSettled } from '../partition/catch-up.js'
import { deliveriesOf, seqsOf } from '../partition/entries.js'
import { admitAll, closeEntries, type Partition } from '../partition/partition.js'
import type { Connections } from './connections.js'
import type { WorkDeps } from './work.js'

/** What one read should bring at the most, in bytes. */
const READ_BYTES = 16 * 1_048_576

export interface IntakeDeps extends Pick<WorkDeps, 'db' | 'redis' | 'prefix' | 'log' | 'metrics'> {
  /** For blocking reads only. */
  reader: Redis
  seal: Seal
  /** What the lane is to Redis: no other process and no other lane has ever had this name. */
  lane: string
}

export interface Intake {
  /**
   * Under which name it reads. Another one with each connection: Redis may give an entry to a read of a connection that is lost
   * before it knows of that, and the entry must be found under another name than that of the reader.
   */
  consumer(): string
  /** Whether what is read from a partition's stream now follows on what was read of it before. */
  isUnbroken(partition: Partition): boolean
  /**
   * Takes over what is pending in a partition's stream, in order, some entries at a time: the next ones when the caller is done
   * with those before. Ends early if the stream may lack something by now.
   */
  claim(partition: Partition): AsyncGenerator<Entry[]>
  /** Entries as deliveries that may be processed now. Entries of events that are settled already are removed. */
  admit(entries: readonly Entry[]): Promise<Delivery[]>
  /** Reads what is new in these partitions and admits it; waits up to `waitMs` for the first, unless `mayWait` says no. */
  read(streaming: readonly Partition[], waitMs: number, mayWait: () => boolean): Promise<Delivery[]>
  /** Ends the wait of a read. */
  wake(): void
}

export function createIntake(
  deps: IntakeDeps,
  partitions: ReadonlyMap<number, Partition>,
  connections: Connections,
): Intake {
  const { db, redis, reader, prefix, seal, lane, log, metrics } = deps
  /** Who the reader is to its server, as of the connection that there was then. */
  let self: { clientId: number; runId: string | null; losses: number } | undefined
  /** How many events an entry has brought lately; it depends on how they are sent. */
  let eventsPerEntry = 1
  /** How large entries have been lately, the largest of each read; at first as large as those of several events may be. */
  let bytesPerEntry = 65_536
  let wake = () => {}

  const consumer = () => `${lane}:${connections.losses()}`

  const isUnbroken = (partition: Partition) => partition.losses === connections.losses()

  /** The owner before may have settled them: they are looked up before they are worked on. */
  async function* claim(partition: Partition): AsyncGenerator<Entry[]> {
    for (let from: string | undefined = NO_ENTRY_ID; from !== undefined; ) {
      const claimed: Awaited<ReturnType<typeof claimPending>> = await claimPending(redis, prefix, seal, consumer(), {
        partition: partition.id,
        from,
      })
      if (!isUnbroken(partition)) return
      metrics.entriesClaimed.inc(claimed.entries.length)
      for (const entry of claimed.entries) partition.takenUpTo = Math.max(partition.takenUpTo, seqsOf(entry).highest)
      yield claimed.entries
      from = claimed.next
    }
  }

  async function admit(entries: readonly Entry[]): Promise<Delivery[]> {
    const isObsolete = ({ partition, id }: Entry) =>
      !isLaterEntry(id, partitions.get(partition)?.obsoleteUpTo ?? NO_ENTRY_ID)
    const useless: Entry[] = []
    const brought: Delivery[] = []
    for (const entry of entries) {
      const deliveries = isObsolete(entry) ? [] : deliveriesOf(entry)
      if (deliveries.length === 0) useless.push(entry)
      else partitions.get(entry.partition)?.entries.open(entry.id, new Set(deliveries.map(({ event }) => event.seq)))
      brought.push(...deliveries)
    }
    await markForeign(useless.filter((entry) => !isObsolete(entry)))
    const doubtful = brought.map(({ event }) => event).filter((event) => mayBeSettled(event, partitions))
    const settled = doubtful.length > 0 ? await findSettled(db, doubtful) : new Set()
    const isSettled = ({ event }: Delivery) => settled.size > 0 && settled.has(identityOf(event))
    metrics.duplicates.inc(settled.size)
    await acknowledge(redis, prefix, [...useless, ...closeEntries(partitions, brought.filter(isSettled))])
    return admitAll(
      partitions,
      brought.filter((delivery) => !isSettled(delivery)),
    )
  }

  /**
   * Entries that are none of ours may have been put in the place of ones that were: their partitions are marked, so
   * that all that is unsettled in them is read from Postgres. The marks come before the entries are removed: without
   * them the next owner would take the rest of the stream for the whole.
   */
  async function markForeign(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return
    log.warn({ entries: entries.map(({ id }) => id) }, 'removing entries that are none of ours')
    metrics.foreignEntries.inc(entries.length)
    await markDirty(db, [...new Set(entries.map(({ partition }) => partition))])
  }

  async function read(streaming: readonly Partition[], waitMs: number, mayWait: () => boolean): Promise<Delivery[]> {
    if (self?.losses !== connections.losses()) {
      const losses = connections.losses()
      self = { ...(await identify(reader)), losses }
    }
    const { clientId, runId } = self
    // The other connection goes to another server, and only one of them has what is sent now. A new one finds the right one.
    if (streaming.some((partition) => partition.runId !== runId)) {
      reader.disconnect(true)
      throw new Error('the connections of this worker to Redis go to different servers')
    }
    wake = () => void redis.client('UNBLOCK', clientId).catch(() => {})
    if (!mayWait() || !streaming.every(isUnbroken)) return []
    const count = Math.ceil(Math.min(BATCH / eventsPerEntry, READ_BYTES / bytesPerEntry) / streaming.length)
    const ids = streaming.map(({ id }) => id)
    const { entries, strays } = await readNew(reader, prefix, seal, consumer(), ids, { count, blockMs: waitMs })
    wake = () => {}
    const ours = entries.filter(({ partition }) => !strays.includes(partition))
    // Claimed anew with what was read just now, and so in order.
    const claimed: Entry[] = []
    for (const partition of streaming) {
      if (strays.includes(partition.id)) for await (const some of claim(partition)) claimed.push(...some)
    }
    if (!streaming.every(isUnbroken)) return []
    const received = await admit([...ours, ...claimed])
    if (entries.length > 0) {
      eventsPerEntry = Math.max(1, (3 * eventsPerEntry + received.length / entries.length) / 4)
      const largest = Math.max(...entries.map(({ text }) => text?.length ?? 0))
      bytesPerEntry = Math.max(largest, (3 * bytesPerEntry + largest) / 4)
    }
    return received
  }

  return { consumer, isUnbroken, claim, admit, read, wake: () => wake() }
}
