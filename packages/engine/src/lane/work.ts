/** The path of an event through a lane: process, settle, acknowledge. */
import type { Delivery, Feed, Outcome } from '@eventflow/core'
import type { Db } from '@eventflow/db'
import type { Logger, Tracing, WorkerMetrics } from '@eventflow/runtime'
import { BATCH, BATCH_BYTES, type Batch } from '../batch/batch.js'
import { logBatch } from '../batch/log.js'
import { measure } from '../batch/measure.js'
import type { Settlement } from '../batch/settlement.js'
import { traceBatch } from '../batch/trace.js'
import { closeEntries, memoryOf, restart, takeInAll } from '../partition/partition.js'
import { type ProcessDeps, processBatch } from '../process/process.js'
import { type SettleDeps, settleBatch } from '../settle/settle.js'
import { type WriteDeps, write } from '../settle/write.js'
import { applySettlement, leasesOf } from './keep.js'
import type { LaneState, Work } from './lane-state.js'
import { pause } from './pause.js'
import { poisoned } from './poison.js'
import { createSuspectWork, firstSuspects } from './suspects.js'
import type { Turns } from './turns.js'

export interface WorkDeps extends ProcessDeps, SettleDeps, WriteDeps {
  db: Db
  feed: Feed
  log: Logger
  metrics: WorkerMetrics
  /** The queue in which all lanes of the process run their suspects. */
  turns: Turns
  /** Undefined if tracing is off. */
  tracing?: Tracing | undefined
  /** Called when events were processed: the log has new entries. */
  onProcessed: () => void
}

/** Creates the `Work` function for the partitions of this lane. */
export function createWork(deps: WorkDeps, state: Omit<LaneState, 'arrivals'>): Work {
  const { feed, log, metrics, tracing, turns, onProcessed } = deps
  const { partitions, stopping, activity } = state
  const transactionSize = { events: BATCH }
  const workOnSuspects = createSuspectWork(deps, state, processAndSettle)

  /**
   * Suspects are processed separately, with the attempt recorded first. Events behind them wait until the suspects are
   * settled.
   */
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

  async function processAndSettle(given: readonly Delivery[]): Promise<void> {
    const deliveries = takeInAll(partitions, given)
    if (deliveries.length === 0) return
    const batch: Batch = { deliveries, startedAt: performance.now(), trace: traceBatch(deliveries, tracing) }
    activity.begin('processing a batch')
    const poison = deliveries.flatMap(poisoned)
    // A poison event is alone in its batch.
    const outcomes = poison.length > 0 ? poison : await processBatch(deliveries, deps, batch.trace)
    activity.begin('settling a batch')
    const settlement = await settleUntilDone(batch, outcomes)
    batch.trace.end(settlement)
    if (!settlement) {
      for (const { event } of deliveries) restartById(event.partition)
      return
    }
    const late = applySettlement(settlement, partitions)
    if (settlement.fresh.length > 0) onProcessed()
    for (const id of settlement.broken) {
      metrics.fencedWrites.inc()
      restartById(id)
    }
    measure(settlement, batch, late, metrics)
    logBatch(settlement, batch, log)
    const { processed, failed, retried, refused } = settlement
    const done = [...[...processed, ...failed, ...retried].map(({ delivery }) => delivery), ...refused]
    activity.begin('acknowledging a batch')
    await feed.acknowledge(closeEntries(partitions, done))
  }

  /**
   * While Postgres is away the batch is kept and tried again: an outage is not counted as a failure of an event.
   * Resolves with undefined if the lane must stop first.
   */
  async function settleUntilDone(batch: Batch, outcomes: readonly Outcome[]): Promise<Settlement | undefined> {
    batch.trace.settle()
    for (let failures = 0; ; failures++) {
      try {
        const settling = { batch, again: failures > 0, stopping, transactionSize }
        const held = { leases: leasesOf(partitions), holdsOf: (id: number) => memoryOf(partitions.get(id))?.holds }
        return await settleBatch(outcomes, (part) => write(part, held, settling, deps), settling, deps)
      } catch (error) {
        activity.failed(error)
        log.warn({ err: error, events: outcomes.length }, 'settling failed; the batch is kept and tried again')
        if (stopping.aborted) return undefined
        await pause(failures, stopping)
      }
    }
  }

  function restartById(id: number): void {
    const partition = partitions.get(id)
    if (partition) restart(partition)
  }

  return work
}
