/**
 * A lane: one loop that reads the next events of its partitions, processes and settles them, one batch after another.
 * With two lanes, Postgres settles one batch while the other lane processes the next. A partition belongs to one lane
 * only, so its events are never in two batches at once.
 */
import type { Epoch, TakenPartition } from '@eventflow/db'
import { countInterruptions } from '../partition/interruptions.js'
import { memoryOf, newPartition, type Partition, partitionsIn, restart } from '../partition/partition.js'
import { type PartitionView, viewOf } from '../partition/partition-view.js'
import { type Activity, createActivity } from './activity.js'
import { createAlarm } from './alarm.js'
import { createDrops } from './drops.js'
import type { LaneState } from './lane-state.js'
import { createNext } from './next.js'
import { pause } from './pause.js'
import { createReader } from './read.js'
import { suspectsAfter } from './suspects.js'
import { createTakeOver, type TakeOverDeps } from './take-over.js'
import { createUpkeep } from './upkeep.js'
import { createWork, type WorkDeps } from './work.js'

export interface LaneDeps extends WorkDeps, Pick<TakeOverDeps, 'onIncarnation'> {
  /** The most blocked events of a partition in memory. Above it, the lane reads no more events of the partition. */
  maxWaiting: number
  /**
   * The most data of blocked events in memory, in bytes, for all partitions of the lane. Each partition gets an equal
   * share.
   */
  maxWaitingBytes: number
}

export interface Lane {
  /** Starts to work on a partition. */
  adopt(taken: TakenPartition): void
  /**
   * Resolves when the lane no longer works on the partition under this lease. It may work on it under a later lease.
   */
  drop(lease: Epoch): Promise<void>
  /** The partitions that the lane owns. */
  partitions(): PartitionView[]
  /** What the lane is doing now. */
  doing: Activity['state']
  /** Stops after the current batch. */
  stop(): Promise<void>
}

/**
 * Starts a lane without partitions. It runs until stopped: errors are logged, and it begins its partitions again after
 * a pause.
 */
export function startLane(deps: LaneDeps): Lane {
  const { feed, log, maxWaiting, maxWaitingBytes } = deps
  const partitions = new Map<number, Partition>()
  const stopping = new AbortController()

  function hasRoom(partition: Partition): boolean {
    const keys = memoryOf(partition)?.keys
    return !keys || (keys.size() < maxWaiting && keys.bytes() < maxWaitingBytes / partitions.size)
  }

  async function release(id: number): Promise<void> {
    try {
      await feed.release(id)
    } catch (err) {
      log.warn({ err, partition: id }, 'releasing the feed of a partition failed')
    }
  }

  const state: LaneState = {
    partitions,
    stopping: stopping.signal,
    activity: createActivity(),
    interruptions: countInterruptions(feed),
    drops: createDrops(partitions, release),
    release,
    alarm: createAlarm(feed),
    hasRoom,
    arrivals: { lastSeq: 0, severalTenants: false },
  }
  const { activity, drops, alarm } = state
  const work = createWork(deps, state)
  const reader = createReader(deps, state)
  const takeDeps = { ...deps, hasRoom, interruptions: state.interruptions }
  const takeOver = createTakeOver(takeDeps, state, reader, work)
  const next = createNext(takeDeps, state, { reader, takeOver, work })
  const upkeep = createUpkeep(deps, state, work)

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; ) {
      try {
        activity.begin('looking for events')
        alarm.reset()
        drops.carryOut()
        for (const partition of partitionsIn(partitions.values(), 'stream'))
          if (!reader.isUnbroken(partition)) restart(partition, 'interrupted')
        await upkeep.noticeChanges()
        for (const partition of toBegin()) await takeOver.begin(partition)
        await upkeep.sweep()
        await work(await next())
        failures = 0
      } catch (error) {
        activity.failed(error)
        log.warn({ err: error }, 'a lane was interrupted; it begins its partitions again')
        for (const partition of partitions.values()) restart(partition, 'interrupted')
        await pause(failures++, stopping.signal)
      }
    }
    drops.carryOut()
  }

  const toBegin = () => [
    ...partitionsIn(partitions.values(), 'new'),
    ...partitionsIn(partitions.values(), 'retries').filter(hasRoom),
  ]

  const running = run()

  return {
    adopt(taken) {
      partitions.set(taken.partition, newPartition(taken, suspectsAfter(taken.crashes)))
      alarm.ring()
    },
    async drop(lease) {
      const dropped = drops.ask(lease)
      if (!dropped) return
      alarm.ring()
      await Promise.race([dropped, running])
    },
    partitions: () => [...partitions.values()].map((partition) => viewOf(partition, !hasRoom(partition))),
    doing: activity.state,
    async stop() {
      stopping.abort()
      alarm.ring()
      await running
    },
  }
}
