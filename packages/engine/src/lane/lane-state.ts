/** The state that the parts of a lane share. */
import type { Delivery } from '@eventflow/core'
import type { Arrivals } from '@eventflow/db'
import type { Interruptions } from '../partition/interruptions.js'
import type { Partition } from '../partition/partition.js'
import type { Activity } from './activity.js'
import type { Alarm } from './alarm.js'
import type { Drops } from './drops.js'

export interface LaneState {
  /** The partitions that the lane owns, by id. */
  readonly partitions: Map<number, Partition>
  /** Aborted when the lane must stop. */
  readonly stopping: AbortSignal
  readonly activity: Activity
  readonly interruptions: Interruptions
  readonly drops: Drops
  readonly alarm: Alarm
  /** Releases the feed of a partition that the lane no longer works on. Never rejects. */
  release(id: number): Promise<void>
  /** Whether more events of a partition may wait in memory. */
  hasRoom(partition: Partition): boolean
  /** The last assigned seq, and whether there are several tenants, as of the last check. */
  arrivals: Arrivals
}

/**
 * Processes and settles deliveries of the lane's partitions, which must come in order. While Postgres is away it waits,
 * until the lane must stop. Rejects when the feed fails; events settled by then stay settled.
 */
export type Work = (deliveries: readonly Delivery[]) => Promise<void>
