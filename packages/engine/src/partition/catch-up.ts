/** Catch-up: reads the unsettled events of partitions from Postgres, in the order of acceptance. */
import { type Delivery, type Feed, type RawEvent, storedDelivery } from '@eventflow/core'
import {
  type Arrivals,
  countInRanges,
  type Db,
  readFinalSeqs,
  readLastSeqs,
  readUnsettled,
  saveProgress,
} from '@eventflow/db'
import type { WorkerMetrics } from '@eventflow/runtime'
import { seqsOf } from './entries.js'
import { type Memory, memoryOf, type Partition, type PartitionIn, restart } from './partition.js'
import { divide, moveOn, ownTenants, positionOf, type Scan, unite } from './scans.js'

/**
 * The most events that one statement returns for a scan, and the most seqs that it goes through. Both limit its
 * duration.
 */
const SLICE = 250
const WINDOW = 50_000

/**
 * The same for all scans of a partition together, on average over the partitions: with more scans, each gets fewer
 * events.
 */
const SHARED_SLICE = 2 * SLICE

/** The most data that one statement reads for all scans of a lane, in bytes. Each scan gets at least one event. */
const SLICE_BYTES = 16 * 1_048_576

/**
 * How far a scan reads beyond its position, in seqs. The events in between may be in memory, and their seqs are kept in
 * `taken`.
 */
const REACH = 4 * WINDOW

/**
 * When a partition lags this many events behind acceptance, it is read from Postgres if there are several tenants, so
 * that they do not delay each other.
 */
const FAR_BEHIND = 20_000

const FINAL_FRESH_MS = 1_000

export interface CatchUpDeps {
  db: Db
  feed: Feed
  metrics: WorkerMetrics
}

/**
 * A partition that reads from Postgres: in *postgres* everything, in *stream* only the events that were never
 * published.
 */
type ReadPartition = PartitionIn<'postgres'> | PartitionIn<'stream'>

/**
 * Whether the event of a stream entry may have been settled already, because it was also read from Postgres or by the
 * previous owner.
 */
export function mayBeSettled(
  { seq, partition }: Pick<RawEvent, 'seq' | 'partition'>,
  partitions: ReadonlyMap<number, Partition>,
): boolean {
  const memory = memoryOf(partitions.get(partition))
  return memory !== undefined && seq <= Math.max(memory.takenUpTo, positionOf(memory.scans))
}

/**
 * In a stream that is far behind, every tenant waits behind the tenant that has sent the most. From Postgres they are
 * read separately. So such a partition is begun again, and its events are dropped from `received`. Returns the other
 * events.
 */
export function giveUpFarBehind(
  received: Delivery[],
  partitions: ReadonlyMap<number, Partition>,
  { lastSeq, severalTenants }: Arrivals,
): Delivery[] {
  if (!severalTenants) return received
  for (const { event } of received) {
    const partition = partitions.get(event.partition)!
    if (lastSeq - event.seq > FAR_BEHIND && !partition.inOrder) restart(partition, 'behind')
  }
  return received.filter(({ event }) => partitions.get(event.partition)!.state.source !== 'new')
}

/**
 * Reads the next unsettled events of partitions in *postgres*. With several tenants, it reads a tenant that delays the
 * others by a separate scan. `reached`: the partitions that have read everything up to their target. `more`: there are
 * more events to read at once. Rejects when Postgres fails.
 */
export async function takeUpNext(
  partitions: readonly PartitionIn<'postgres'>[],
  severalTenants: boolean,
  { db, metrics }: Pick<CatchUpDeps, 'db' | 'metrics'>,
): Promise<{ deliveries: Delivery[]; reached: PartitionIn<'postgres'>[]; more: boolean }> {
  const deliveries: Delivery[] = []
  const reached: PartitionIn<'postgres'>[] = []
  let more = false
  for (const { partition, last, found } of await readScans(db, partitions, new Map())) {
    const { state, inOrder } = partition
    const { memory } = state
    for (const { scan, events, moved } of found) {
      for (const { seq } of events) if (seq > scan.position) scan.taken.add(seq)
      memory.takenUpTo = Math.max(memory.takenUpTo, events.at(-1)?.seq ?? 0)
      deliveries.push(...memory.keys.takeIn(events.map(storedDelivery)))
      state.caughtUp += events.length
      if (events.length > 0) metrics.catchUpEvents.inc({ reason: state.reason }, events.length)
      if (scan.seen < last && moved) more = true
    }
    if (hasReachedTarget(state, last)) {
      // With several tenants, a partition stays in *postgres* until its stream is short: in a long one, the tenants
      // would delay each other again.
      if (severalTenants && last - state.target!.seq > FAR_BEHIND / 2) state.target = undefined
      else reached.push(partition)
    }
    const full = new Set(found.filter(({ isFull }) => isFull).map(({ scan }) => scan))
    memory.scans = unite(memory.scans, (scan) => !full.has(scan))
    const [first] = found
    if (severalTenants && first!.isFull && !inOrder) memory.scans = divide(memory.scans, first!.events)
  }
  return { deliveries, reached, more }
}

function hasReachedTarget({ target, memory }: PartitionIn<'postgres'>['state'], last: number): boolean {
  return target !== undefined && memory.scans.every(({ seen }) => seen >= Math.min(target.seq, last))
}

/**
 * Reads, for partitions in *stream*, the events that were never published because the process that accepted them died
 * first. These are unsettled, not in memory, and not ahead in the stream.
 *
 * Events are published within a few seconds of their acceptance. So an event that is older and has a lower seq than the
 * next entry of the stream is not ahead in it. `more`: there are more events to go through at once. Rejects when
 * Postgres or the feed fails.
 */
export async function findUnpublished(
  partitions: readonly PartitionIn<'stream'>[],
  { db, feed, metrics }: CatchUpDeps,
): Promise<{ deliveries: Delivery[]; more: boolean }> {
  const next = await feed.firstUnread(partitions.map(({ id }) => id))
  const ahead = new Map([...next].map(([id, entry]) => [id, seqsOf(entry).lowest]))
  await refreshFinal(db, partitions)
  const doubtful = await skipSettled(partitions, ahead, db)
  const deliveries: Delivery[] = []
  let more = false
  for (const { partition, last, found } of await readScans(db, doubtful, ahead)) {
    const { scan, events, moved } = found[0]!
    const { final, keys } = partition.state.memory
    if (moved && scan.seen < Math.min(final.seq, last, (ahead.get(partition.id) ?? last + 1) - 1)) more = true
    const unpublished = events.filter((event) => event.seq <= final.seq && !keys.has(event))
    if (unpublished.length > 0) metrics.catchUpEvents.inc({ reason: 'unpublished' }, unpublished.length)
    deliveries.push(...keys.takeIn(unpublished.map(storedDelivery)))
  }
  return { deliveries, more }
}

/**
 * Moves the scans of partitions that have settled as many events as Postgres has in the range. Returns the other
 * partitions. Counting with an index costs about a tenth of checking each event.
 */
async function skipSettled(
  partitions: readonly PartitionIn<'stream'>[],
  ahead: ReadonlyMap<number, number>,
  db: Db,
): Promise<PartitionIn<'stream'>[]> {
  const ranges = partitions.map(({ id, state }) => ({
    partition: id,
    after: positionOf(state.memory.scans),
    until: Math.min(state.memory.final.seq, (ahead.get(id) ?? Number.POSITIVE_INFINITY) - 1),
  }))
  const counts = await countInRanges(db, ranges)
  return partitions.filter(({ state: { memory } }, i) => {
    const { after, until } = ranges[i]!
    let settled = 0
    for (const seq of memory.settled) if (seq > after && seq <= until) settled++
    if (settled !== counts[i]) return true
    moveOn(memory.scans[0], until)
    forgetSettled(memory)
    return false
  })
}

/**
 * Saves the watermarks in Postgres, so that the next catch-up begins there. Every event up to the watermark is settled
 * or in `retries`. Rejects when Postgres fails.
 */
export async function saveWatermarks(partitions: readonly ReadPartition[], db: Db): Promise<void> {
  const watermarks = partitions.map(({ id, epoch, state: { memory } }) => ({
    partition: id,
    epoch,
    settledSeq: Math.min(positionOf(memory.scans), memory.keys.lowestSeq() - 1, memory.refusedSeq - 1),
  }))
  await saveProgress(db, watermarks)
}

/** The result of one scan, in the order of acceptance. */
interface Found {
  scan: Scan
  events: RawEvent[]
  /** The limit was reached, so there may be more events in the range. */
  isFull: boolean
  moved: boolean
}

/**
 * Reads the unsettled events that are not in memory: above the position of each scan, and below the seqs that are
 * `ahead` in the stream. Moves each scan over the final events, which are now settled or returned to the caller. `last`
 * is the highest seq of the partition.
 */
async function readScans<Of extends ReadPartition>(
  db: Db,
  partitions: readonly Of[],
  ahead: ReadonlyMap<number, number>,
): Promise<{ partition: Of; last: number; found: Found[] }[]> {
  if (partitions.length === 0) return []
  const ids = partitions.map(({ id }) => id)
  await refreshFinal(db, partitions)
  const last = await readLastSeqs(db, ids)
  const ranges = partitions.flatMap(({ id, state: { memory } }, i) =>
    memory.scans.map((scan) => ({
      partition: id,
      after: scan.position,
      until: Math.min(
        Math.max(scan.position, Math.min(scan.seen, scan.position + REACH)) + WINDOW,
        last[i]!,
        (ahead.get(id) ?? Number.POSITIVE_INFINITY) - 1,
      ),
      tenantId: scan.tenantId,
      others: scan.tenantId === undefined ? ownTenants(memory.scans) : [],
    })),
  )
  const except = partitions.flatMap(({ state }) => state.memory.scans.flatMap(({ taken }) => [...taken]))
  const limit = Math.min(SLICE, Math.ceil((SHARED_SLICE * partitions.length) / ranges.length))
  const unsettled = await readUnsettled(db, ranges, { except, limit, bytes: Math.ceil(SLICE_BYTES / ranges.length) })
  let next = 0
  return partitions.map((partition, i) => {
    const { memory } = partition.state
    const found = memory.scans.map((scan): Found => {
      const { until } = ranges[next]!
      const { events, more: isFull } = unsettled[next++]!
      const before = scan.position
      scan.seen = isFull ? events.at(-1)!.seq : until
      moveOn(scan, Math.min(scan.seen, memory.final.seq))
      return { scan, events, isFull, moved: scan.position > before || events.length > 0 }
    })
    forgetSettled(memory)
    return { partition, last: last[i]!, found }
  })
}

/** Removes the seqs up to the position. */
function forgetSettled({ settled, scans }: Memory): void {
  const position = positionOf(scans)
  for (const seq of settled) if (seq <= position) settled.delete(seq)
}

/** Runs at most once a second: to find the final seq, Postgres goes through the events of the last seconds. */
async function refreshFinal(db: Db, partitions: readonly ReadPartition[]): Promise<void> {
  const now = performance.now()
  const stale = partitions.filter(({ state }) => now - state.memory.final.readAt >= FINAL_FRESH_MS)
  if (stale.length === 0) return
  const finals = await readFinalSeqs(
    db,
    stale.map(({ id }) => id),
  )
  stale.forEach((partition, i) => {
    partition.state.memory.final = { seq: finals[i]!, readAt: now }
  })
}
