/** A partition as those see it who only watch. */
import type { Partition } from './partition.js'

export interface HeldPartition extends Pick<Partition, 'epoch' | 'source' | 'settledAt'> {
  partition: number
  /** Events that wait in memory behind one that is tried again. */
  waiting: number
  /** No more of them may: nothing new of the partition is taken. */
  full: boolean
}

/** `maxWaiting` is how many events of a partition may wait in memory. */
export function asHeld({ id, epoch, source, settledAt, keys }: Partition, maxWaiting: number): HeldPartition {
  const waiting = keys.size()
  return { partition: id, epoch, source, settledAt, waiting, full: waiting >= maxWaiting }
}
