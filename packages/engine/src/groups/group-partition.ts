/**
 * A partition as a worker reads it for a consumer group.
 *
 * - *new*: just taken, or to be begun again after an error. Nothing of it is in memory.
 * - *parked*: its parked events are being loaded, as far as memory has room. Until all are, nothing of the log is read,
 *   so nothing overtakes them.
 * - *log*: it is read from the log.
 */
import type { Cursor, GroupLease } from '@eventflow/db'
import { createKeys, type Keys } from '../partition/keys.js'

export interface GroupPartition {
  readonly lease: GroupLease
  readonly orderOf: OrderOf
  state: 'new' | 'parked' | 'log'
  /** The cursor as it is in Postgres. */
  saved: number
  /** The position up to which the log was read. Entries above `saved` are not for this group, or in the running batch. */
  read: number
  /** The position up to which parked events were loaded. */
  loadedUpTo: number
  /** Blocked keys, with their events. */
  keys: Keys
  /** The partitions that the cursor's row names: they may have emitted events in no stream. */
  unpublished: ReadonlySet<number>
  /** How many of the next events are suspects: its last owners may have died of one of them. */
  suspects: number
}

type OrderOf = Parameters<typeof createKeys>[0]

/** A partition that was just taken. `orderOf` gives the string by which an event is ordered. */
export function newGroupPartition(lease: GroupLease, suspects: number, orderOf: OrderOf): GroupPartition {
  return { lease, suspects, orderOf, ...nothing(orderOf) }
}

/** Forgets what is in memory: the partition begins again with what Postgres has. */
export function beginAgain(partition: GroupPartition): void {
  Object.assign(partition, nothing(partition.orderOf))
}

const nothing = (orderOf: OrderOf) => ({
  state: 'new' as const,
  ...{ saved: 0, read: 0, loadedUpTo: -1 },
  keys: createKeys(orderOf),
  unpublished: new Set<number>(),
})

/** Continues with the cursor as Postgres has it. */
export function begun(partition: GroupPartition, { position, unpublished }: Cursor): void {
  const names = new Set(unpublished)
  Object.assign(partition, { state: 'parked', saved: position, read: position, loadedUpTo: -1, unpublished: names })
}
