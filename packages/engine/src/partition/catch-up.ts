/** Catching up: the unsettled events of partitions, from Postgres, in the order of acceptance. */
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
import { type Hand, handOf, type Partition, type PartitionIn, restart } from './partition.js'
import { divide, moveOn, ownTenants, positionOf, type Scan, unite } from './scans.js'

/** Events that one statement reads for a scan, and seqs that it goes over: both bound its time. */
const SLICE = 250
const WINDOW = 50_000

/**
 * Events that it reads for all scans of a partition, on average over the partitions: the more scans, the fewer for
 * each.
 */
const SHARED_SLICE = 2 * SLICE

/** Data that one statement reads for all scans of a lane, in bytes; each gets at least one event. */
const SLICE_BYTES = 16 * 1_048_576

/** How far a scan looks beyond its position, in seqs: what lies between may be in hand, and is remembered. */
const REACH = 4 * WINDOW

/** How many events may be accepted after those that are being read from the feed, before tenants hold each other up. */
const FAR_BEHIND = 20_000

const FINAL_FRESH_MS = 1_000

export interface CatchUpDeps {
  db: Db
  feed: Feed
  metrics: WorkerMetrics
}

/** A partition that is read from Postgres: in *postgres* as a whole, in *stream* only for what was never published. */
type ReadPartition = PartitionIn<'postgres'> | PartitionIn<'stream'>

/** Whether the event of a stream entry may have been taken from Postgres before. */
export function mayBeSettled(
  { seq, partition }: Pick<RawEvent, 'seq' | 'partition'>,
  partitions: ReadonlyMap<number, Partition>,
): boolean {
  const hand = handOf(partitions.get(partition))
  return hand !== undefined && seq <= Math.max(hand.takenUpTo, positionOf(hand.scans))
}

/**
 * In a stream that is far behind, every tenant waits behind the tenant that has sent the most; from Postgres they are
 * read separately. So its partition is begun again, and what was just received of it is left out. Gives the rest.
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
 * Takes up the next unsettled events of partitions in *postgres*; tenants that are in each other's way are read apart
 * where there are several. `reached` are the partitions that have everything in hand that was there when they aimed for
 * their streams; `more`: there is more to take up at once.
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
    const { hand } = state
    for (const { scan, events, moved } of found) {
      for (const { seq } of events) if (seq > scan.position) scan.taken.add(seq)
      hand.takenUpTo = Math.max(hand.takenUpTo, events.at(-1)?.seq ?? 0)
      deliveries.push(...hand.keys.takeIn(events.map(storedDelivery)))
      state.caughtUp += events.length
      if (events.length > 0) metrics.catchUpEvents.inc({ reason: state.reason }, events.length)
      if (scan.seen < last && moved) more = true
    }
    if (hasReachedTarget(state, last)) {
      // Where tenants share the stream it is left alone until little is in it: they would hold each other up again.
      if (severalTenants && last - state.target!.seq > FAR_BEHIND / 2) state.target = undefined
      else reached.push(partition)
    }
    const full = new Set(found.filter(({ isFull }) => isFull).map(({ scan }) => scan))
    hand.scans = unite(hand.scans, (scan) => !full.has(scan))
    const [first] = found
    if (severalTenants && first!.isFull && !inOrder) hand.scans = divide(hand.scans, first!.events)
  }
  return { deliveries, reached, more }
}

function hasReachedTarget({ target, hand }: PartitionIn<'postgres'>['state'], last: number): boolean {
  return target !== undefined && hand.scans.every(({ seen }) => seen >= Math.min(target.seq, last))
}

/**
 * Looks after partitions in *stream*, every few seconds: finds the events that are neither settled nor in hand nor
 * ahead in the stream, because the process that accepted them died before it could publish them.
 *
 * An event is ahead in the stream only if it was published, and that is within a few seconds of its acceptance: one
 * that is older and has a lower seq than the next entry of the stream is not. `more`: it did not get so far at once.
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
    const { final, keys } = partition.state.hand
    if (moved && scan.seen < Math.min(final.seq, last, (ahead.get(partition.id) ?? last + 1) - 1)) more = true
    const unpublished = events.filter((event) => event.seq <= final.seq && !keys.holds(event))
    if (unpublished.length > 0) metrics.catchUpEvents.inc({ reason: 'unpublished' }, unpublished.length)
    deliveries.push(...keys.takeIn(unpublished.map(storedDelivery)))
  }
  return { deliveries, more }
}

/**
 * Moves partitions on that have settled as many events as there are; the others are given back. Counting an index is
 * some ten times cheaper than looking for each event whether it is settled.
 */
async function skipSettled(
  partitions: readonly PartitionIn<'stream'>[],
  ahead: ReadonlyMap<number, number>,
  db: Db,
): Promise<PartitionIn<'stream'>[]> {
  const ranges = partitions.map(({ id, state }) => ({
    partition: id,
    after: positionOf(state.hand.scans),
    until: Math.min(state.hand.final.seq, (ahead.get(id) ?? Number.POSITIVE_INFINITY) - 1),
  }))
  const counts = await countInRanges(db, ranges)
  return partitions.filter(({ state: { hand } }, i) => {
    const { after, until } = ranges[i]!
    let settled = 0
    for (const seq of hand.settled) if (seq > after && seq <= until) settled++
    if (settled !== counts[i]) return true
    moveOn(hand.scans[0], until)
    forgetSettled(hand)
    return false
  })
}

/**
 * Moves the watermarks on in Postgres, so that the next catch-up begins there: nothing below is unsettled and not in
 * `retries`.
 */
export async function saveWatermarks(partitions: readonly ReadPartition[], db: Db): Promise<void> {
  const watermarks = partitions.map(({ id, epoch, state: { hand } }) => ({
    partition: id,
    epoch,
    settledSeq: Math.min(positionOf(hand.scans), hand.keys.lowestSeq() - 1, hand.refusedSeq - 1),
  }))
  await saveProgress(db, watermarks)
}

/** What one scan found, in the order of acceptance. */
interface Found {
  scan: Scan
  events: RawEvent[]
  /** There may be more within reach. */
  isFull: boolean
  moved: boolean
}

/**
 * What is unsettled and not taken up, above the position of each scan and below what is `ahead` in its stream. Moves
 * the scans on: over what is final, and settled or given to the caller. `last` is the highest seq of the partition.
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
  const ranges = partitions.flatMap(({ id, state: { hand } }, i) =>
    hand.scans.map((scan) => ({
      partition: id,
      after: scan.position,
      until: Math.min(
        Math.max(scan.position, Math.min(scan.seen, scan.position + REACH)) + WINDOW,
        last[i]!,
        (ahead.get(id) ?? Number.POSITIVE_INFINITY) - 1,
      ),
      tenantId: scan.tenantId,
      others: scan.tenantId === undefined ? ownTenants(hand.scans) : [],
    })),
  )
  const except = partitions.flatMap(({ state }) => state.hand.scans.flatMap(({ taken }) => [...taken]))
  const limit = Math.min(SLICE, Math.ceil((SHARED_SLICE * partitions.length) / ranges.length))
  const unsettled = await readUnsettled(db, ranges, { except, limit, bytes: Math.ceil(SLICE_BYTES / ranges.length) })
  let next = 0
  return partitions.map((partition, i) => {
    const { hand } = partition.state
    const found = hand.scans.map((scan): Found => {
      const { until } = ranges[next]!
      const { events, more: isFull } = unsettled[next++]!
      const before = scan.position
      scan.seen = isFull ? events.at(-1)!.seq : until
      moveOn(scan, Math.min(scan.seen, hand.final.seq))
      return { scan, events, isFull, moved: scan.position > before || events.length > 0 }
    })
    forgetSettled(hand)
    return { partition, last: last[i]!, found }
  })
}

/** What is below the position need not be counted any more. */
function forgetSettled({ settled, scans }: Hand): void {
  const position = positionOf(scans)
  for (const seq of settled) if (seq <= position) settled.delete(seq)
}

/** Once a second is enough: to find what is final, Postgres goes back over the events of the last seconds. */
async function refreshFinal(db: Db, partitions: readonly ReadPartition[]): Promise<void> {
  const now = performance.now()
  const stale = partitions.filter(({ state }) => now - state.hand.final.readAt >= FINAL_FRESH_MS)
  if (stale.length === 0) return
  const finals = await readFinalSeqs(
    db,
    stale.map(({ id }) => id),
  )
  stale.forEach((partition, i) => {
    partition.state.hand.final = { seq: finals[i]!, readAt: now }
  })
}
