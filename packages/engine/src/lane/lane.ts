/**
 * A lane: one loop that takes the next events of its partitions, processes and settles them, one batch after the other.
 * Two lanes keep Postgres busy with one batch while the next is processed; a partition is only ever in one lane, so its
 * events are never in two batches at once.
 */
import type { Epoch, TakenPartition } from '@eventflow/db'
import { countInterruptions } from '../partition/interruptions.js'
import { handOf, newPartition, type Partition, partitionsIn, restart } from '../partition/partition.js'
import { type PartitionView, viewOf } from '../partition/partition-view.js'
import { type Activity, createActivity } from './activity.js'
import { createAlarm } from './alarm.js'
import { createDrops } from './drops.js'
import type { LaneState } from './lane-state.js'
import { createNext } from './next.js'
import { pause } from './pause.js'
import { createReader } from './read.js'
import { suspectsAfter } from './suspects.js'
import { createTakeOver } from './take-over.js'
import { createUpkeep } from './upkeep.js'
import { createWork, type WorkDeps } from './work.js'

export interface LaneDeps extends WorkDeps {
  /** Events of a partition that may wait in memory; beyond it nothing more of the partition is taken. */
  maxWaiting: number
  /** The same for the data of the events of all its partitions, of which each has an equal part. */
  maxWaitingBytes: number
}

export interface Lane {
  /** Begins to work on a partition. */
  adopt(taken: TakenPartition): void
  /** Resolves when the partition is no longer worked on under this lease; under a later one it may be. */
  drop(lease: Epoch): Promise<void>
  /** The partitions it works on. */
  held(): PartitionView[]
  /** What it is doing now. */
  doing: Activity['state']
  /** Finishes the batch in hand and ends. */
  stop(): Promise<void>
}

export function startLane(deps: LaneDeps): Lane {
  const { feed, log, maxWaiting, maxWaitingBytes } = deps
  const partitions = new Map<number, Partition>()
  const stopping = new AbortController()

  function hasRoom(partition: Partition): boolean {
    const keys = handOf(partition)?.keys
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
    held: () => [...partitions.values()].map((partition) => viewOf(partition, !hasRoom(partition))),
    doing: activity.state,
    async stop() {
      stopping.abort()
      alarm.ring()
      await running
    },
  }
}
