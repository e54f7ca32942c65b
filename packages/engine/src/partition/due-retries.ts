/** Replays: rows that an operator adds to `retries` while the partition has an owner. */
import { type Db, readDueRetries } from '@eventflow/db'
import { blockRetries } from './begin.js'
import type { Memory, Partition } from './partition.js'

/** A partition that has begun: it is not *new*. */
type BegunPartition = Partition & { state: { memory: Memory } }

/**
 * Loads the retries of these partitions that are due and not in memory, at most `limit`. Resolves with true if there
 * may be more. Call it between batches: the lane may hold only blocked events.
 */
export async function takeUpRetries(partitions: readonly BegunPartition[], limit: number, db: Db): Promise<boolean> {
  if (partitions.length === 0) return false
  const held = partitions.flatMap(({ state }) => state.memory.keys.inRetries())
  const ids = partitions.map(({ id }) => id)
  const due = await readDueRetries(db, ids, { held, limit })
  for (const partition of partitions) {
    blockRetries(
      partition.state.memory,
      due.filter(({ event }) => event.partition === partition.id),
    )
  }
  return due.length === limit
}
