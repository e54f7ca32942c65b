/**
 * The lane of a consumer group: one loop that reads the log of its partitions, runs the handlers and moves the cursors,
 * one batch after another. Each group has its own, so that none slows down another one or the pipeline.
 */
import type { Processed } from '@eventflow/core'
import { forgetUnpublished, type Generation, type GroupLease, moveCursors, pauseGroup } from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import { BATCH } from '../batch/batch.js'
import { traceBatch } from '../batch/trace.js'
import { createAlarm } from '../lane/alarm.js'
import { pause } from '../lane/pause.js'
import { type SettleDeps, SettlingStoppedError, settleBatch } from '../settle/settle.js'
import type { LogDelivery } from './delivery.js'
import { beginAgain, type GroupPartition, newGroupPartition } from './group-partition.js'
import { createGroupWatch, type WatchDeps } from './group-watch.js'
import { createGroupReader, type ReadDeps } from './read.js'
import { type GroupWriteDeps, writePart } from './write.js'

export interface GroupLaneDeps
  extends GroupWriteDeps,
    ReadDeps,
    WatchDeps,
    Omit<SettleDeps, 'db' | 'retryOf' | 'orderOf'> {
  log: Logger
}

export interface GroupLane {
  readonly groupId: number
  readonly name: string
  readonly version: number
  /** Starts to read a partition. */
  adopt(lease: GroupLease): void
  /** Resolves when the lane no longer reads the partition under this lease. */
  drop(lease: GroupLease): Promise<void>
  leases(): GroupLease[]
  /** Looks for new entries at once. */
  wake(): void
  /** Stops after the current batch. */
  stop(): Promise<void>
}

/** How long to wait for new entries before the log is read again, in milliseconds: `wake` ends it. */
const POLL_MS = 250

/** How often a cursor is saved for entries that are not for the group, in milliseconds. */
const SAVE_MS = 1_000

/** Starts the lane of a group, without partitions. It runs until stopped: errors are logged. */
export function startGroupLane(groupId: number, deps: GroupLaneDeps): GroupLane {
  const { db, consumer, log } = deps
  const { name: group } = consumer
  const partitions = new Map<number, GroupPartition>()
  const leaving = new Map<GroupPartition, () => void>()
  const stopping = new AbortController()
  const alarm = createAlarm()
  const transactionSize = { events: BATCH }
  const watch = createGroupWatch(groupId, deps)
  const reader = createGroupReader(partitions, deps)
  let savedAt = performance.now()

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; ) {
      try {
        alarm.reset()
        await carryOutDrops()
        await step()
        failures = 0
      } catch (error) {
        if (error instanceof SettlingStoppedError) await pauseFor(error)
        else log.warn({ err: error, group }, 'reading a consumer group was interrupted; it goes on from its cursors')
        for (const partition of partitions.values()) beginAgain(partition)
        if (!(error instanceof SettlingStoppedError)) await pause(failures++, stopping.signal)
      }
    }
    await carryOutDrops()
    await forgetPublished(partitions.values())
  }

  async function step(): Promise<void> {
    const generation = await watch.look(partitions)
    if (!generation || partitions.size === 0) return alarm.sleep(POLL_MS)
    await reader.begin(generation)
    const { deliveries, lost } = await reader.read(generation)
    if (lost) throw new SettlingStoppedError(lost)
    if (deliveries.length > 0) return work(deliveries, generation)
    await savePassed(generation)
    await alarm.sleep(Math.min(POLL_MS, reader.nextDueMs()))
  }

  async function work(deliveries: readonly LogDelivery[], generation: Generation) {
    const startedAt = performance.now()
    const trace = traceBatch([...deliveries], undefined)
    const outcomes = deliveries.map((delivery): Processed => {
      return { kind: 'processed', delivery, data: delivery.event.data, payload: delivery.payload }
    })
    const settled = await settleBatch(
      outcomes,
      (part) => writePart(part, generation, partitions, trace, deps),
      { stopping: stopping.signal, transactionSize, blockedKeys: reader.blockedKeys() },
      { ...deps, retryOf: () => consumer.retry, orderOf: reader.orderOf },
    )
    const { blocked, broken, processed, failed, retried } = settled
    const holds = ({ delivery }: (typeof blocked)[number]) => !broken.has(delivery.event.partition)
    reader.block(blocked.filter(holds) as { delivery: LogDelivery; delayMs: number }[])
    const counts = { processed: processed.length, failed: failed.length, retried: retried.length }
    deps.measure(counts, (performance.now() - startedAt) / 1_000)
    const level = failed.length > 0 ? 'warn' : 'debug'
    log[level]({ group, ...counts, parked: blocked.length, fenced: [...broken] }, 'batch of a consumer group handled')
  }

  async function pauseFor({ message }: Error): Promise<void> {
    log.error({ group, reason: message }, 'a consumer group is paused')
    await pauseGroup(db, groupId, message, 'eventflow').catch((err) =>
      log.warn({ err, group }, 'pausing a consumer group failed'),
    )
    watch.changed()
  }

  /** Saves the cursors that have passed only entries that are not for the group. */
  async function savePassed(generation: Generation): Promise<void> {
    if (performance.now() - savedAt < SAVE_MS) return
    savedAt = performance.now()
    const passed = [...partitions.values()].filter(({ state, read, saved }) => state === 'log' && read > saved)
    if (passed.length === 0) return
    const moves = passed.map(({ lease, saved, read }) => ({ ...lease, from: saved, to: read }))
    const broken = await moveCursors(db, generation, moves)
    for (const partition of passed) {
      if (broken.has(partition.lease.partition)) beginAgain(partition)
      else partition.saved = partition.read
    }
  }

  /** What was emitted is published by now: the next owner need not look for it. */
  async function forgetPublished(leaving: Iterable<GroupPartition>): Promise<void> {
    const leases = [...leaving].filter(({ unpublished }) => unpublished.size > 0).map(({ lease }) => lease)
    if (leases.length > 0) await forgetUnpublished(db, groupId, leases).catch(() => {})
  }

  async function carryOutDrops(): Promise<void> {
    const drops = [...leaving]
    leaving.clear()
    await forgetPublished(drops.map(([partition]) => partition))
    for (const [partition, done] of drops) {
      const { partition: id } = partition.lease
      if (partitions.get(id) === partition) partitions.delete(id)
      done()
    }
  }

  const running = run()

  return {
    groupId,
    name: consumer.name,
    version: consumer.version,
    adopt(lease) {
      partitions.set(lease.partition, newGroupPartition(lease))
      alarm.ring()
    },
    async drop(lease) {
      const partition = partitions.get(lease.partition)
      if (partition?.lease.epoch !== lease.epoch) return
      const gone = new Promise<void>((done) => leaving.set(partition, done))
      alarm.ring()
      await Promise.race([gone, running])
    },
    leases: () => [...partitions.values()].map(({ lease }) => lease),
    wake: () => alarm.ring(),
    async stop() {
      stopping.abort()
      alarm.ring()
      await running
    },
  }
}
