/** Replays: rows that an operator has put into `retries` while the partition has an owner. */
import { type Db, readDueRetries } from '@eventflow/db'
import { holdRetries } from './begin.js'
import type { Hand, Partition } from './partition.js'

/** A partition that is not *new*. */
type BegunPartition = Partition & { state: { hand: Hand } }

/**
 * Takes up the retries of these partitions that are due and not in hand, at most `limit`. Resolves with whether there
 * may be more. Between two batches only: nothing may be in hand but what the keys hold.
 */
export async function takeUpRetries(partitions: readonly BegunPartition[], limit: number, db: Db): Promise<boolean> {
  if (partitions.length === 0) return false
  const held = partitions.flatMap(({ state }) => state.hand.keys.inRetries())
  const ids = partitions.map(({ id }) => id)
  const due = await readDueRetries(db, ids, { held, limit })
  for (const partition of partitions) {
    holdRetries(
      partition.state.hand,
      due.filter(({ event }) => event.partition === partition.id),
    )
  }
  return due.length === limit
}
