/** A partition as the watchdog and the gauges see it. */
import { handOf, type Partition, type State } from './partition.js'

export interface PartitionView extends Pick<Partition, 'epoch' | 'settledAt'> {
  partition: number
  source: State['source']
  /** Events that wait in memory behind one that is tried again. */
  waiting: number
  /** No more of them may: nothing new of the partition is taken. */
  full: boolean
}

/** `full`: see there. */
export function viewOf(partition: Partition, full: boolean): PartitionView {
  const { id, epoch, state, settledAt } = partition
  return { partition: id, epoch, source: state.source, settledAt, waiting: handOf(partition)?.keys.size() ?? 0, full }
}
