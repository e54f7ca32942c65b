/**
 * The lane of a consumer group: one loop that reads the log of its partitions, runs the handlers and moves the cursors,
 * one batch after another. Each group has its own, so that none slows down another one or the pipeline.
 */
import { forgetUnpublished, type GroupLease, pauseGroup } from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import { createAlarm } from '../lane/alarm.js'
import { pause } from '../lane/pause.js'
import { suspectsAfter } from '../lane/suspects.js'
import { SettlingStoppedError } from '../settle/settle.js'
import { beginAgain, type GroupPartition, newGroupPartition } from './group-partition.js'
import { createGroupWatch, type WatchDeps } from './group-watch.js'
import { createGroupWork, type GroupWorkDeps } from './group-work.js'
import { createGroupReader, type ReadDeps } from './read.js'
import { createStateUpkeep } from './state-upkeep.js'

export interface GroupLaneDeps extends GroupWorkDeps, ReadDeps, WatchDeps {
  log: Logger
}

export interface GroupLane {
  readonly groupId: number
  readonly name: string
  readonly version: number
  /** Starts to read a partition. */
  adopt(lease: GroupLease): void
  /** Resolves when the lane no longer reads the partition under this lease. */
  drop(lease: Pick<GroupLease, 'partition' | 'epoch'>): Promise<void>
  /** `proven`: none of the next events is a suspect, so the crashes of its last owners can be forgotten. */
  leases(): (GroupLease & { proven: boolean })[]
  /** Looks for new entries at once. */
  wake(): void
  /** Stops after the current batch. */
  stop(): Promise<void>
}

/** How long to wait for new entries before the log is read again, in milliseconds: `wake` ends it. */
const POLL_MS = 250

/** Starts the lane of a group, without partitions. It runs until stopped: errors are logged. */
export function startGroupLane(groupId: number, deps: GroupLaneDeps): GroupLane {
  const { db, consumer, log } = deps
  const { name: group } = consumer
  const partitions = new Map<number, GroupPartition>()
  const leaving = new Map<GroupPartition, () => void>()
  const stopping = new AbortController()
  const alarm = createAlarm()
  const watch = createGroupWatch(groupId, deps)
  const reader = createGroupReader(partitions, deps)
  const { work, savePassed } = createGroupWork(partitions, reader, stopping.signal, deps)
  const stateUpkeep = consumer.stateful && createStateUpkeep(partitions, deps)

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
    // Before later entries are read: so what a batch has ended is done when the next one begins.
    await stateUpkeep?.passMarks(generation)
    if (await stateUpkeep?.expire(generation)) return
    const { deliveries, lost } = await reader.read(generation)
    if (lost) throw new SettlingStoppedError(lost)
    if (deliveries.length > 0) return work(deliveries, generation)
    await savePassed(generation)
    if ([...partitions.values()].some(({ state }) => state.marks.length > 0)) return
    await alarm.sleep(Math.min(POLL_MS, reader.nextDueMs()))
  }

  async function pauseFor({ message }: Error): Promise<void> {
    log.error({ group, reason: message }, 'a consumer group is paused')
    await pauseGroup(db, groupId, message, 'eventflow').catch((err) =>
      log.warn({ err, group }, 'pausing a consumer group failed'),
    )
    watch.changed()
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
      partitions.set(lease.partition, newGroupPartition(lease, suspectsAfter(lease.crashes), reader.orderOf))
      alarm.ring()
    },
    async drop(lease) {
      const partition = partitions.get(lease.partition)
      if (partition?.lease.epoch !== lease.epoch) return
      const gone = new Promise<void>((done) => leaving.set(partition, done))
      alarm.ring()
      await Promise.race([gone, running])
    },
    leases: () => [...partitions.values()].map(({ lease, suspects }) => ({ ...lease, proven: suspects === 0 })),
    wake: () => alarm.ring(),
    async stop() {
      stopping.abort()
      alarm.ring()
      await running
    },
  }
}
