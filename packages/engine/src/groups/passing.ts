/** Event time passes: entry by entry of the log, so it makes no difference how they fall into batches. */
import { microsOf } from '@eventflow/core'
import { type Generation, type LogMark, readHoldsAt, type Transaction, writeGroupTimes } from '@eventflow/db'
import type { Due } from '../settle/write.js'
import type { LogDelivery } from './delivery.js'
import { afterEvent, afterMark, type GroupTime, NO_TIME, type TimeSettings } from './event-time.js'
import type { GroupPartition } from './group-partition.js'
import type { Met } from './stateful.js'

type Partitions = ReadonlyMap<number, GroupPartition>

/** The times of a transaction: they replace those in memory once it is committed. */
export interface Passing {
  /** Passes an event. Returns what it meets. */
  event(delivery: LogDelivery): Met
  /** Passes a mark. */
  mark(mark: LogMark): void
  /** Writes the times that have changed. */
  write(tx: Transaction, generation: Generation): Promise<void>
  /** Call it after the COMMIT. */
  keep(): void
}

/**
 * Begins with the times in memory. `starting` are the entries to be passed: for a tenant that the group does not know,
 * a hold may be in force where they begin.
 */
export async function beginPassing(
  tx: Transaction,
  starting: { events: readonly LogDelivery[]; marks: readonly LogMark[] },
  partitions: Partitions,
  settings: TimeSettings,
): Promise<Passing> {
  const changed = new Map<number, Map<string, GroupTime>>()
  const timesOf = (partition: number) => {
    if (!changed.has(partition)) changed.set(partition, new Map())
    return changed.get(partition)!
  }
  const timeAt = (partition: number, tenantId: string) =>
    changed.get(partition)?.get(tenantId) ?? partitions.get(partition)?.state.times.get(tenantId)

  await findHolds()

  async function findHolds(): Promise<void> {
    const unknown = new Map<number, { tenants: Set<string>; position: number }>()
    const look = (partition: number, tenantId: string, position: number) => {
      if (timeAt(partition, tenantId)) return
      if (!unknown.has(partition)) unknown.set(partition, { tenants: new Set(), position: position - 1 })
      unknown.get(partition)!.tenants.add(tenantId)
    }
    for (const { event, marks, position } of starting.events) {
      look(event.partition, event.tenantId, marks?.[0]?.position ?? position)
    }
    for (const { partition, tenantId, position } of starting.marks) look(partition, tenantId, position)
    for (const [partition, { tenants, position }] of unknown) {
      const holds = await readHoldsAt(tx, partition, [...tenants], position)
      for (const tenantId of tenants) {
        timesOf(partition).set(tenantId, { ...NO_TIME, hold: holds.get(tenantId) })
      }
    }
  }

  function mark(mark: LogMark): void {
    const { partition, tenantId } = mark
    const before = timeAt(partition, tenantId) ?? NO_TIME
    const after = afterMark(before, mark, settings)
    if (after !== before) timesOf(partition).set(tenantId, after)
  }

  return {
    mark,
    event(delivery) {
      const { event } = delivery
      const { partition, tenantId } = event
      for (const passed of delivery.marks ?? []) mark(passed)
      const time = timeAt(partition, tenantId) ?? NO_TIME
      // An event that is handled later than its place in the log has passed already.
      if (delivery.cursor > 0) timesOf(partition).set(tenantId, afterEvent(time, event, settings))
      return { delivery, time: microsOf(event.occurredAt), watermark: time.at }
    },
    async write(tx, generation) {
      const rows = [...changed].flatMap(([partition, times]) =>
        [...times].map(([tenantId, time]) => ({ partition, tenantId, ...time })),
      )
      if (rows.length > 0) await writeGroupTimes(tx, generation, rows)
    },
    keep() {
      for (const [partition, times] of changed) {
        const { state } = partitions.get(partition)!
        for (const [tenantId, time] of times) {
          if (time.at !== undefined && time.at !== state.times.get(tenantId)?.at) state.passed.set(tenantId, time.at)
          state.times.set(tenantId, time)
        }
      }
    },
  }
}

/** Passes the events of a part, also those that fail, in the order of the log. Returns what the processed ones meet. */
export function meet(due: readonly Due[], passing: Passing): Met[] {
  return due.flatMap(({ kind, delivery }) => {
    const met = passing.event(delivery as LogDelivery)
    return kind === 'processed' ? [met] : []
  })
}
