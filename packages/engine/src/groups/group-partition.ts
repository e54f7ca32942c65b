/**
 * A partition as a worker reads it for a consumer group.
 *
 * - *new*: just taken, or to be begun again after an error. Nothing of it is in memory.
 * - *parked*: its parked events are being loaded, as far as memory has room. Until all are, nothing of the log is read,
 *   so nothing overtakes them.
 * - *log*: it is read from the log.
 */
import type { Micros } from '@eventflow/core'
import type { Cursor, GroupLease, LogMark, Parked } from '@eventflow/db'
import { createKeys, type Keys } from '../partition/keys.js'
import type { GroupTime } from './event-time.js'

export interface GroupPartition {
  readonly lease: GroupLease
  readonly orderOf: OrderOf
  phase: 'new' | 'parked' | 'log'
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
  /** Of a window or a join. */
  state: PartitionState
}

/** What a window or a join has in memory of a partition. */
export interface PartitionState {
  /** Event time, by tenant. */
  times: Map<string, GroupTime>
  /** The watermarks, by tenant, that may have passed something that has not ended yet. */
  passed: Map<string, Micros>
  /** Marks that were read, up to `read`, and that no event has taken along. */
  marks: LogMark[]
  /** Up to this position, a former generation has emitted the results. */
  silentUntil: number
  /** The rows of suspects that are still to be read from the log, by seq. */
  suspectRows: Map<number, Parked>
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
  phase: 'new' as const,
  state: { times: new Map(), passed: new Map(), marks: [], silentUntil: 0, suspectRows: new Map() },
  ...{ saved: 0, read: 0, loadedUpTo: -1 },
  keys: createKeys(orderOf),
  unpublished: new Set<number>(),
})

/** Continues with the cursor as Postgres has it. */
export function begun(partition: GroupPartition, { position, unpublished, silentUntil }: Cursor): void {
  const names = new Set(unpublished)
  Object.assign(partition, { phase: 'parked', saved: position, read: position, loadedUpTo: -1, unpublished: names })
  partition.state.silentUntil = silentUntil
}
