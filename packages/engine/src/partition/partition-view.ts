/** A partition as the watchdog and the gauges see it. */
import { memoryOf, type Partition, type State } from './partition.js'

export interface PartitionView extends Pick<Partition, 'epoch' | 'settledAt'> {
  partition: number
  source: State['source']
  /** Blocked events in memory. */
  waiting: number
  /** The limit of blocked events is reached, so the lane reads nothing more of the partition. */
  full: boolean
}

/** Returns the view of a partition; `full` as in `PartitionView`. */
export function viewOf(partition: Partition, full: boolean): PartitionView {
  const { id, epoch, state, settledAt } = partition
  return { partition: id, epoch, source: state.source, settledAt, waiting: memoryOf(partition)?.keys.size() ?? 0, full }
}
