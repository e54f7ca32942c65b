/** Taking up what somebody else has put into `retries`, while its partition is being worked on: replays. */
import { type Db, readDueRetries } from '@eventflow/db'
import { holdRetries, type Partition } from './partition.js'

/**
 * Has the retries wait in their partitions that are due and not held there, at most `limit`. Gives whether there may be
 * more. Nothing but what the keys hold may be in hand.
 */
export async function takeUpRetries(partitions: readonly Partition[], limit: number, db: Db): Promise<boolean> {
  if (partitions.length === 0) return false
  const held = partitions.flatMap(({ keys }) => keys.inRetries())
  const ids = partitions.map(({ id }) => id)
  const due = await readDueRetries(db, ids, { held, limit })
  for (const partition of partitions) {
    holdRetries(
      partition,
      due.filter(({ event }) => event.partition === partition.id),
    )
  }
  return due.length === limit
}
