/** What the parts of a lane share. */
import type { Delivery } from '@eventflow/core'
import type { Arrivals } from '@eventflow/db'
import type { Interruptions } from '../partition/interruptions.js'
import type { Partition } from '../partition/partition.js'
import type { Activity } from './activity.js'
import type { Alarm } from './alarm.js'
import type { Drops } from './drops.js'

export interface LaneState {
  /** The partitions that the lane owns, by their ids. */
  readonly partitions: Map<number, Partition>
  /** Aborted when the lane is to stop. */
  readonly stopping: AbortSignal
  readonly activity: Activity
  readonly interruptions: Interruptions
  readonly drops: Drops
  readonly alarm: Alarm
  /** Releases the feed of a partition that the lane no longer works on. Never rejects. */
  release(id: number): Promise<void>
  /** Whether more events of a partition may wait in memory. */
  hasRoom(partition: Partition): boolean
  /** How far acceptance had come when the lane last looked. */
  arrivals: Arrivals
}

/**
 * Processes and settles deliveries of the lane's partitions, given in order. Rejects when the feed fails; what was
 * settled by then stays settled. Waits while Postgres is away, until the lane is to stop.
 */
export type Work = (deliveries: readonly Delivery[]) => Promise<void>
