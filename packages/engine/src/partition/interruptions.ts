/** Counts the interruptions of a feed. At each interruption, the feed may have lost entries. */
import type { Feed } from '@eventflow/core'

export interface Interruptions {
  /** How often this partition was interrupted so far. While the count stays the same, the feed has lost nothing. */
  count(partition: number): number
}

/** Counts the interruptions of a feed from now on. */
export function countInterruptions(feed: Feed): Interruptions {
  const counts = new Map<number, number>()
  let ofAll = 0
  feed.onInterrupted((partitions) => {
    if (partitions === 'all') ofAll++
    else for (const partition of partitions) counts.set(partition, (counts.get(partition) ?? 0) + 1)
  })
  return { count: (partition) => ofAll + (counts.get(partition) ?? 0) }
}
