/** What a lane looks after between two batches: marks, replays, events that were never published, watermarks. */
import type { Feed } from '@eventflow/core'
import { type Db, findDirty, readArrivals } from '@eventflow/db'
import type { WorkerMetrics } from '@eventflow/runtime'
import { findUnpublished, saveWatermarks } from '../partition/catch-up.js'
import { takeUpRetries } from '../partition/due-retries.js'
import { partitionsIn, restart } from '../partition/partition.js'
import type { LaneState, Work } from './lane-state.js'

/** Replayed events that are taken up at once. */
const RETRIES_AT_ONCE = 250

/**
 * How often a lane looks for what others have written: replays in `retries`, marks of events that were not published.
 */
export const NOTICE_MS = 1_000

/** How often a lane looks for events that were never published, and saves the watermarks, in milliseconds. */
const SWEEP_MS = 5_000

export interface Upkeep {
  /** Finds what others have written. Nothing may be in hand but what the keys hold. */
  noticeChanges(): Promise<void>
  /** Processes events that were never published, and saves the watermarks. */
  sweep(): Promise<void>
}

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
      // A partition that is to be begun again has lost what it had in hand.
      await saveWatermarks(begun(), db)
    },
  }
}
