/** The event's path through a lane: process, settle, acknowledge. */
import type { Delivery, Outcome } from '@eventflow/core'
import { type Db, type Lease, recordSuspects, takeBackSuspicion } from '@eventflow/db'
import { acknowledge, type Redis } from '@eventflow/redis'
import type { Logger, Tracing, WorkerMetrics } from '@eventflow/runtime'
import { BATCH, BATCH_BYTES } from '../batch/batch.js'
import { tell } from '../batch/log.js'
import { measure } from '../batch/measure.js'
import { type BatchTrace, traceBatch } from '../batch/trace.js'
import { admitAll, closeEntries, type Partition } from '../partition/partition.js'
import { type ProcessDeps, processBatch } from '../process/process.js'
import { type SettleDeps, type Settlement, settleBatch } from '../settle/settle.js'
import type { Progress } from './activity.js'
import { pause } from './pause.js'
import { poisoned } from './poison.js'
import { countAttempt, firstSuspects } from './suspects.js'
import type { Turns } from './turns.js'

export interface WorkDeps extends ProcessDeps, SettleDeps {
  db: Db
  redis: Redis
  prefix: string
  log: Logger
  metrics: WorkerMetrics
  /** Of suspects, in all lanes of the process. */
  turns: Turns
  /** Nothing where traces are off. */
  tracing?: Tracing | undefined
}

/** The lane that the work is done for. */
interface LaneState {
  partitions: ReadonlyMap<number, Partition>
  stopping: AbortSignal
  progress: Progress
  /** Drops the partitions that are to be given back. */
  dropAsked: () => void
}

/**
 * Brings deliveries of the lane's partitions, given in order, to their outcomes. Throws when Redis fails; what was settled by then
 * stays settled. Waits while Postgres is away, until `stopping`.
 */
export function createWork(
  deps: WorkDeps,
  { partitions, stopping, progress, dropAsked }: LaneState,
): (deliveries: readonly Delivery[]) => Promise<void> {
  const { db, redis, prefix, log, metrics, tracing, turns } = deps
  const room = { events: BATCH }
  /** Of each partition the suspects whose attempt may be recorded still: see `countAttempt`. */
  const attempted = new WeakMap<Partition, Map<number, number>>()

  /** Suspects go apart from all others, with the attempt recorded first; what is behind them waits until their outcome is known. */
  async function work(deliveries: readonly Delivery[]): Promise<void> {
    const together: Delivery[] = []
    let bytes = 0
    for (let at = 0; at < deliveries.length; ) {
      const delivery = deliveries[at]!
      const partition = partitions.get(delivery.event.partition)
      if (partition && (partition.suspects > 0 || delivery.crashes > 0)) {
        const suspects = firstSuspects(deliveries.slice(at), partition.suspects)
        at += suspects.length
        await processAndSettle(together.splice(0))
        bytes = 0
        await turns(() => workOnSuspects(suspects, partition))
      } else {
        at++
        together.push(delivery)
        bytes += delivery.payload.length
        if (together.length < BATCH && bytes < BATCH_BYTES) continue
        await processAndSettle(together.splice(0))
        bytes = 0
      }
    }
    await processAndSettle(together)
  }

  async function workOnSuspects(suspects: readonly Delivery[], partition: Partition): Promise<void> {
    // There may be a thousand of them: whoever has the partition next goes on with them.
    dropAsked()
    if (stopping.aborted) beginAgain(partition.id)
    // With what was given up just now: written down, it would be begun with, and go before those of its key that are not.
    if (partition.source === 'new') return
    const admitted = partition.keys.admit(suspects)
    if (admitted.length === 0) return
    partition.suspects = Math.max(0, partition.suspects - admitted.length)
    const before = attempted.get(partition) ?? new Map<number, number>()
    attempted.set(partition, before)
    const recorded = countAttempt(admitted, before)
    if (!(await recordSuspects(db, recorded, leaseOf(partition)))) {
      beginAgain(partition.id)
      return
    }
    await processAndSettle(recorded)
    // They were survived. What still waits is no suspect any more; what was given up is as suspect as it was before.
    const crashesOf = ({ event, crashes }: Delivery) => (partition.keys.holds(event) ? 0 : crashes - 1)
    await takeBackSuspicion(
      db,
      recorded.map((delivery) => ({ delivery, before: crashesOf(delivery) })),
    )
    for (const { event } of recorded) before.delete(event.seq)
  }

  async function processAndSettle(deliveries: readonly Delivery[]): Promise<void> {
    const ready = admitAll(partitions, deliveries)
    if (ready.length === 0) return
    const startedAt = performance.now()
    const trace = traceBatch(ready, tracing)
    progress.begin('processing a batch')
    const poison = ready.flatMap(poisoned)
    // One that has killed its workers is alone.
    const outcomes = poison.length > 0 ? poison : await processBatch(ready, deps, trace)
    progress.begin('settling a batch')
    const settlement = await settleUntilDone(outcomes, startedAt, trace)
    trace?.end(settlement)
    if (!settlement) {
      for (const { event } of ready) beginAgain(event.partition)
      return
    }
    keep(settlement)
    measure(settlement, startedAt, partitions, metrics)
    tell(settlement, startedAt, log)
    const { committed, dead, retried, refused } = settlement
    const done = [...[...committed, ...dead, ...retried].map(({ delivery }) => delivery), ...refused]
    progress.begin('acknowledging a batch')
    await acknowledge(redis, prefix, closeEntries(partitions, done))
  }

  /** While Postgres is away the batch is kept and tried again: an outage is no failure of any event. */
  async function settleUntilDone(
    outcomes: readonly Outcome[],
    startedAt: number,
    trace: BatchTrace | undefined,
  ): Promise<Settlement | undefined> {
    trace?.settle()
    for (let failures = 0; ; failures++) {
      try {
        const settling = { startedAt, again: failures > 0, stopping, room, trace }
        return await settleBatch(outcomes, leasesOf(partitions), settling, deps)
      } catch (error) {
        progress.failed(error)
        log.warn({ err: error, events: outcomes.length }, 'settling failed; the batch is kept and tried again')
        if (stopping.aborted) return undefined
        await pause(failures, stopping)
      }
    }
  }

  /** Keeps what waits, and begins the partitions again in which the fence let nothing through. */
  function keep({ committed, dead, retried, refused, held, broken }: Settlement): void {
    const now = performance.now()
    for (const { delivery } of [...committed, ...dead]) {
      const { partition: id, seq } = delivery.event
      const partition = partitions.get(id)
      // What is replayed is mostly far below. Where a scan of several is far behind, they would pile up.
      if (partition?.scans.length === 1 && seq > partition.scans[0].position) partition.settled.add(seq)
    }
    for (const { delivery } of [...committed, ...dead, ...retried]) {
      const partition = partitions.get(delivery.event.partition)
      if (partition) partition.settledAt = now
    }
    for (const { event } of refused) {
      const partition = partitions.get(event.partition)
      if (partition) partition.refusedSeq = Math.min(partition.refusedSeq, event.seq)
    }
    for (const { delivery, delayMs } of held) {
      partitions.get(delivery.event.partition)?.keys.hold({ ...delivery, crashes: 0 }, now + delayMs)
    }
    for (const id of broken) {
      metrics.fencedWrites.inc()
      beginAgain(id)
    }
  }

  /** What the partition had in hand is given up: it is still where it came from. */
  function beginAgain(id: number): void {
    const partition = partitions.get(id)
    if (partition) partition.source = 'new'
  }

  return work
}

/** A partition that is to be begun again has no lease: whatever of it is still in the batch is not settled. */
function leasesOf(partitions: ReadonlyMap<number, Partition>): Map<number, Lease> {
  const leases = new Map<number, Lease>()
  for (const partition of partitions.values())
    if (partition.source !== 'new') leases.set(partition.id, leaseOf(partition))
  return leases
}

/** What is read from Postgres is complete, mark or not. */
function leaseOf({ id, epoch, source }: Partition): Lease {
  return { partition: id, epoch, dirty: source === 'stream' ? 0 : null }
}
