/** A partition as those see it who only watch. */
import type { Partition } from './partition.js'

export interface HeldPartition extends Pick<Partition, 'epoch' | 'source' | 'settledAt'> {
  partition: number
  /** Events that wait in memory behind one that is tried again. */
  waiting: number
  /** No more of them may: nothing new of the partition is taken. */
  full: boolean
}

export function asHeld(
  { id, epoch, source, settledAt, keys }: Partition,
  { full }: Pick<HeldPartition, 'full'>,
): HeldPartition {
  return { partition: id, epoch, source, settledAt, waiting: keys.size(), full }
}
