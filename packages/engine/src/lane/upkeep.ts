/**
 * The periodic tasks of a lane, between two batches: looks for dirty marks, replays and events that were never
 * published, and saves the watermarks.
 */
import type { Feed } from '@eventflow/core'
import { type Db, findDirty, readArrivals } from '@eventflow/db'
import type { WorkerMetrics } from '@eventflow/runtime'
import { findUnpublished, saveWatermarks } from '../partition/catch-up.js'
import { takeUpRetries } from '../partition/due-retries.js'
import { partitionsIn, restart } from '../partition/partition.js'
import { positionOf } from '../partition/scans.js'
import { raiseHolds } from '../settle/hold-changes.js'
import { leaseOf } from './keep.js'
import type { LaneState, Work } from './lane-state.js'

/** The most replayed events that are loaded at once. */
const RETRIES_AT_ONCE = 250

/** How often a lane looks for rows that other processes wrote (replays in `retries`, dirty marks), in milliseconds. */
export const NOTICE_MS = 1_000

/** How often a lane looks for events that were never published and saves the watermarks, in milliseconds. */
const SWEEP_MS = 5_000

export interface Upkeep {
  /** Looks for replays and dirty marks. Call it between batches: the lane may hold only blocked events. */
  noticeChanges(): Promise<void>
  /** Processes events that were never published, and saves the watermarks. Rejects when Postgres or the feed fails. */
  sweep(): Promise<void>
}

/** Creates the periodic tasks of a lane. Each does nothing if it is not due yet. */
export function createUpkeep(
  { db, feed, metrics }: { db: Db; feed: Feed; metrics: WorkerMetrics },
  state: LaneState,
  work: Work,
): Upkeep {
  let noticeAt = 0
  let sweptAt = performance.now()
  const inStream = () => partitionsIn(state.partitions.values(), 'stream')
  const begun = () => [...inStream(), ...partitionsIn(state.partitions.values(), 'postgres')]

  return {
    async noticeChanges() {
      if (state.partitions.size === 0 || performance.now() < noticeAt) return
      state.arrivals = await readArrivals(db)
      const streaming = inStream()
      const dirty = await findDirty(
        db,
        streaming.map(({ id }) => id),
      )
      for (const partition of streaming) if (dirty.includes(partition.id)) restart(partition)
      const more = await takeUpRetries(begun().filter(state.hasRoom), RETRIES_AT_ONCE, db)
      noticeAt = more ? 0 : performance.now() + NOTICE_MS
    },

    async sweep() {
      if (performance.now() - sweptAt < SWEEP_MS) return
      sweptAt = performance.now()
      const streaming = inStream()
      if (streaming.length > 0) {
        const { deliveries, more } = await findUnpublished(streaming, { db, feed, metrics })
        if (more) sweptAt = Number.NEGATIVE_INFINITY
        await work(deliveries)
      }
      // A partition that must begin again is not included: it no longer knows what it had read.
      const reading = begun()
      await saveWatermarks(reading, db)
      for (const { state } of reading) state.memory.holds.knowUpTo(positionOf(state.memory.scans))
      await raiseHolds(
        reading.map((partition) => ({ lease: leaseOf(partition), holds: partition.state.memory.holds })),
        db,
      )
    },
  }
}
