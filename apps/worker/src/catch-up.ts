/** Catching up: the unsettled events of partitions, from Postgres, in the order of acceptance. */
import { type Delivery, firstDelivery } from '@eventflow/core'
import { countInRanges, type Db, readFinalSeqs, readLastSeqs, readUnsettled, saveProgress } from '@eventflow/db'
import type { WorkerMetrics } from '@eventflow/runtime'
import { type Redis, readFirstUndelivered } from '@eventflow/stream'
import { seqsOf } from './entries.js'
import { moveOn, type Partition } from './partition.js'

/** Events of one partition that one look at Postgres gives, and seqs that it goes over: both bound the statement's time. */
const SLICE = 250
const WINDOW = 50_000

const FINAL_FRESH_MS = 1_000

export interface CatchUpDeps {
  db: Db
  redis: Redis
  prefix: string
  metrics: WorkerMetrics
}

/**
 * Takes up the next unsettled events of partitions in *postgres*. `reached` are the partitions that have everything in hand
 * that was there when they aimed for their streams; `more`: there is more to take up at once.
 */
export async function takeUpNext(
  partitions: readonly Partition[],
  { db, metrics }: CatchUpDeps,
): Promise<{ deliveries: Delivery[]; reached: Partition[]; more: boolean }> {
  const deliveries: Delivery[] = []
  const reached: Partition[] = []
  let more = false
  for (const { partition, events, seen, last, moved } of await look(db, partitions, new Map())) {
    for (const { seq } of events) if (seq > partition.position) partition.taken.add(seq)
    partition.takenUpTo = Math.max(partition.takenUpTo, events.at(-1)?.seq ?? 0)
    deliveries.push(...partition.keys.admit(events.map((event) => firstDelivery(event, []))))
    partition.caughtUp += events.length
    if (events.length > 0) metrics.catchUpEvents.inc({ reason: partition.reason }, events.length)
    if (seen < last && moved) more = true
    if (partition.target && seen >= Math.min(partition.target.seq, last)) reached.push(partition)
  }
  return { deliveries, reached, more }
}

/**
 * Looks after partitions in *stream*, every few seconds: finds the events that are neither settled nor in hand nor ahead in
 * the stream, because the process that accepted them died before it could publish them.
 *
 * An event is ahead in the stream only if it was published, and that is within a few seconds of its acceptance: one that is
 * older and has a lower seq than the next entry of the stream is not.
 */
export async function findUnpublished(
  partitions: readonly Partition[],
  { db, redis, prefix, metrics }: CatchUpDeps,
): Promise<Delivery[]> {
  const next = await readFirstUndelivered(
    redis,
    prefix,
    partitions.map(({ id }) => id),
  )
  const ahead = new Map([...next].map(([id, entry]) => [id, seqsOf(entry).lowest]))
  await refreshFinal(db, partitions)
  const doubtful = await skipSettled(partitions, ahead, db)
  const found: Delivery[] = []
  for (const { partition, events } of await look(db, doubtful, ahead)) {
    const unpublished = events.filter((event) => event.seq <= partition.final.seq && !partition.keys.holds(event))
    if (unpublished.length > 0) metrics.catchUpEvents.inc({ reason: 'unpublished' }, unpublished.length)
    found.push(...partition.keys.admit(unpublished.map((event) => firstDelivery(event, []))))
  }
  return found
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
  const ranges = partitions.map(({ id, position, final }) => ({
    partition: id,
    after: position,
    until: Math.min(final.seq, (ahead.get(id) ?? Number.POSITIVE_INFINITY) - 1),
  }))
  const counts = await countInRanges(db, ranges)
  return partitions.filter((partition, i) => {
    const { until } = ranges[i]!
    let settled = 0
    for (const seq of partition.settled) if (seq > partition.position && seq <= until) settled++
    if (settled !== counts[i]) return true
    moveOn(partition, until)
    return false
  })
}

/** Moves the watermarks on in Postgres, so that the next catch-up begins there: nothing below is unsettled and not in `retries`. */
export async function saveWatermarks(partitions: readonly Partition[], db: Db): Promise<void> {
  const progress = partitions.map(({ id, epoch, position, refusedSeq, keys }) => ({
    partition: id,
    epoch,
    settledSeq: Math.min(position, keys.lowestSeq() - 1, refusedSeq - 1),
  }))
  await saveProgress(db, progress)
}

/**
 * What is unsettled and not taken up, above the position of each partition and below what is `ahead` in its stream. Moves the
 * positions on: over what is final, and settled or given to the caller. `seen` is how far it looked, `last` the highest seq.
 */
async function look(db: Db, partitions: readonly Partition[], ahead: ReadonlyMap<number, number>) {
  if (partitions.length === 0) return []
  const ids = partitions.map(({ id }) => id)
  await refreshFinal(db, partitions)
  const last = await readLastSeqs(db, ids)
  const ranges = partitions.map(({ id, position }, i) => ({
    partition: id,
    after: position,
    until: Math.min(position + WINDOW, last[i]!, (ahead.get(id) ?? Number.POSITIVE_INFINITY) - 1),
  }))
  const except = partitions.flatMap(({ taken }) => [...taken])
  const unsettled = await readUnsettled(db, ranges, { except, limit: SLICE })
  return partitions.map((partition, i) => {
    const events = unsettled.filter((event) => event.partition === partition.id)
    const seen = events.length < SLICE ? ranges[i]!.until : events.at(-1)!.seq
    const before = partition.position
    moveOn(partition, Math.min(seen, partition.final.seq))
    return { partition, events, seen, last: last[i]!, moved: partition.position > before || events.length > 0 }
  })
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
