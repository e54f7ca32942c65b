/** Catching up: the unsettled events of partitions, from Postgres, in the order of acceptance. */
import { type Delivery, type RawEvent, storedDelivery } from '@eventflow/core'
import {
  type Arrivals,
  countInRanges,
  type Db,
  readFinalSeqs,
  readLastSeqs,
  readUnsettled,
  saveProgress,
} from '@eventflow/db'
import { type Redis, readFirstUndelivered, type Seal } from '@eventflow/redis'
import type { WorkerMetrics } from '@eventflow/runtime'
import { seqsOf } from './entries.js'
import type { Partition } from './partition.js'
import { divide, moveOn, ownTenants, positionOf, type Scan, unite } from './scans.js'

/** Events that one look at Postgres gives a scan, and seqs that it goes over: both bound the statement's time. */
const SLICE = 250
const WINDOW = 50_000

/** Events that it gives all scans of a partition, on the average of the partitions: the more scans, the less for each. */
const SHARED_SLICE = 2 * SLICE

/** Data that one look at Postgres gives all scans of a lane, in bytes; each has at least one event. */
const SLICE_BYTES = 16 * 1_048_576

/** How far a scan looks beyond its position, in seqs: what lies between may be in hand, and is remembered. */
const REACH = 4 * WINDOW

/** How many events may be accepted after those that are being read from the streams, before the tenants get in each other's way. */
const FAR_BEHIND = 20_000

const FINAL_FRESH_MS = 1_000

export interface CatchUpDeps {
  db: Db
  redis: Redis
  prefix: string
  seal: Seal
  metrics: WorkerMetrics
}

/** Whether the event of a stream entry may have been taken from Postgres before. */
export function mayBeSettled(
  { seq, partition }: Pick<RawEvent, 'seq' | 'partition'>,
  partitions: ReadonlyMap<number, Partition>,
): boolean {
  const { takenUpTo, scans } = partitions.get(partition)!
  return seq <= Math.max(takenUpTo, positionOf(scans))
}

/**
 * In a stream that is far behind every tenant waits behind the one that has sent the most; from Postgres they are read apart.
 * So its partition is to be begun again, and what was just received of it is left. Gives the rest.
 */
export function giveUpFarBehind(
  received: Delivery[],
  partitions: ReadonlyMap<number, Partition>,
  { lastSeq, severalTenants }: Arrivals,
): Delivery[] {
  if (!severalTenants) return received
  for (const { event } of received) {
    const partition = partitions.get(event.partition)!
    if (lastSeq - event.seq > FAR_BEHIND && !partition.inOrder) partition.behind = true
  }
  return received.filter(({ event }) => !partitions.get(event.partition)!.behind)
}

/**
 * Takes up the next unsettled events of partitions in *postgres*; tenants that are in each other's way are read apart where
 * there are several. `reached` are the partitions that have everything in hand that was there when they aimed for their streams;
 * `more`: there is more to take up at once.
 */
export async function takeUpNext(
  partitions: readonly Partition[],
  severalTenants: boolean,
  { db, metrics }: Pick<CatchUpDeps, 'db' | 'metrics'>,
): Promise<{ deliveries: Delivery[]; reached: Partition[]; more: boolean }> {
  const deliveries: Delivery[] = []
  const reached: Partition[] = []
  let more = false
  for (const { partition, last, looks } of await look(db, partitions, new Map())) {
    for (const { scan, events, moved } of looks) {
      for (const { seq } of events) if (seq > scan.position) scan.taken.add(seq)
      partition.takenUpTo = Math.max(partition.takenUpTo, events.at(-1)?.seq ?? 0)
      deliveries.push(...partition.keys.admit(events.map(storedDelivery)))
      partition.caughtUp += events.length
      if (events.length > 0) metrics.catchUpEvents.inc({ reason: partition.reason }, events.length)
      if (scan.seen < last && moved) more = true
    }
    if (hasReachedTarget(partition, last)) {
      // Where tenants share the stream it is left alone until little is in it: they would be in each other's way again.
      if (severalTenants && last - partition.target!.seq > FAR_BEHIND / 2) partition.target = undefined
      else reached.push(partition)
    }
    const full = new Set(looks.filter(({ isFull }) => isFull).map(({ scan }) => scan))
    partition.scans = unite(partition.scans, (scan) => !full.has(scan))
    const [first] = looks
    if (severalTenants && first!.isFull && !partition.inOrder) partition.scans = divide(partition.scans, first!.events)
  }
  return { deliveries, reached, more }
}

function hasReachedTarget({ target, scans }: Partition, last: number): boolean {
  return target !== undefined && scans.every(({ seen }) => seen >= Math.min(target.seq, last))
}

/**
 * Looks after partitions in *stream*, every few seconds: finds the events that are neither settled nor in hand nor ahead in
 * the stream, because the process that accepted them died before it could publish them.
 *
 * An event is ahead in the stream only if it was published, and that is within a few seconds of its acceptance: one that is
 * older and has a lower seq than the next entry of the stream is not. `more`: it did not get so far at once.
 */
export async function findUnpublished(
  partitions: readonly Partition[],
  { db, redis, prefix, seal, metrics }: CatchUpDeps,
): Promise<{ deliveries: Delivery[]; more: boolean }> {
  const next = await readFirstUndelivered(
    redis,
    prefix,
    seal,
    partitions.map(({ id }) => id),
  )
  const ahead = new Map([...next].map(([id, entry]) => [id, seqsOf(entry).lowest]))
  await refreshFinal(db, partitions)
  const doubtful = await skipSettled(partitions, ahead, db)
  const found: Delivery[] = []
  let more = false
  for (const { partition, last, looks } of await look(db, doubtful, ahead)) {
    const { scan, events, moved } = looks[0]!
    if (moved && scan.seen < Math.min(partition.final.seq, last, (ahead.get(partition.id) ?? last + 1) - 1)) more = true
    const unpublished = events.filter((event) => event.seq <= partition.final.seq && !partition.keys.holds(event))
    if (unpublished.length > 0) metrics.catchUpEvents.inc({ reason: 'unpublished' }, unpublished.length)
    found.push(...partition.keys.admit(unpublished.map(storedDelivery)))
  }
  return { deliveries: found, more }
}

/**
 * Moves partitions on that have settled as many events as there are; the others are given back. Counting an index is some ten
 * times cheaper than looking for each event whether it is settled.
 */
async function skipSettled(
  partitions: readonly Partition[],
  ahead: ReadonlyMap<number, number>,
  db: Db,
): Promise<Partition[]> {
  const ranges = partitions.map(({ id, scans, final }) => ({
    partition: id,
    after: positionOf(scans),
    until: Math.min(final.seq, (ahead.get(id) ?? Number.POSITIVE_INFINITY) - 1),
  }))
  const counts = await countInRanges(db, ranges)
  return partitions.filter((partition, i) => {
    const { after, until } = ranges[i]!
    let settled = 0
    for (const seq of partition.settled) if (seq > after && seq <= until) settled++
    if (settled !== counts[i]) return true
    moveOn(partition.scans[0], until)
    forgetSettled(partition)
    return false
  })
}

/** Moves the watermarks on in Postgres, so that the next catch-up begins there: nothing below is unsettled and not in `retries`. */
export async function saveWatermarks(partitions: readonly Partition[], db: Db): Promise<void> {
  const progress = partitions.map(({ id, epoch, scans, refusedSeq, keys }) => ({
    partition: id,
    epoch,
    settledSeq: Math.min(positionOf(scans), keys.lowestSeq() - 1, refusedSeq - 1),
  }))
  await saveProgress(db, progress)
}

/** What one scan found, in the order of acceptance. */
interface Look {
  scan: Scan
  events: RawEvent[]
  /** There may be more within reach. */
  isFull: boolean
  moved: boolean
}

/**
 * What is unsettled and not taken up, above the position of each scan and below what is `ahead` in its stream. Moves the scans
 * on: over what is final, and settled or given to the caller. `last` is the highest seq of the partition.
 */
async function look(db: Db, partitions: readonly Partition[], ahead: ReadonlyMap<number, number>) {
  if (partitions.length === 0) return []
  const ids = partitions.map(({ id }) => id)
  await refreshFinal(db, partitions)
  const last = await readLastSeqs(db, ids)
  const ranges = partitions.flatMap(({ id, scans }, i) =>
    scans.map((scan) => ({
      partition: id,
      after: scan.position,
      until: Math.min(
        Math.max(scan.position, Math.min(scan.seen, scan.position + REACH)) + WINDOW,
        last[i]!,
        (ahead.get(id) ?? Number.POSITIVE_INFINITY) - 1,
      ),
      tenantId: scan.tenantId,
      others: scan.tenantId === undefined ? ownTenants(scans) : [],
    })),
  )
  const except = partitions.flatMap(({ scans }) => scans.flatMap(({ taken }) => [...taken]))
  const limit = Math.min(SLICE, Math.ceil((SHARED_SLICE * partitions.length) / ranges.length))
  const unsettled = await readUnsettled(db, ranges, { except, limit, bytes: Math.ceil(SLICE_BYTES / ranges.length) })
  let next = 0
  return partitions.map((partition, i) => {
    const looks = partition.scans.map((scan): Look => {
      const { until } = ranges[next]!
      const { events, more: isFull } = unsettled[next++]!
      const before = scan.position
      scan.seen = isFull ? events.at(-1)!.seq : until
      moveOn(scan, Math.min(scan.seen, partition.final.seq))
      return { scan, events, isFull, moved: scan.position > before || events.length > 0 }
    })
    forgetSettled(partition)
    return { partition, last: last[i]!, looks }
  })
}

/** What is below the position need not be counted any more. */
function forgetSettled({ settled, scans }: Partition): void {
  const position = positionOf(scans)
  for (const seq of settled) if (seq <= position) settled.delete(seq)
}

/** Once a second is enough: to find what is final, Postgres goes back over the events of the last seconds. */
async function refreshFinal(db: Db, partitions: readonly Partition[]): Promise<void> {
  const now = performance.now()
  const stale = partitions.filter(({ final }) => now - final.readAt >= FINAL_FRESH_MS)
  if (stale.length === 0) return
  const finals = await readFinalSeqs(
    db,
    stale.map(({ id }) => id),
  )
  stale.forEach((partition, i) => {
    partition.final = { seq: finals[i]!, readAt: now }
  })
}
