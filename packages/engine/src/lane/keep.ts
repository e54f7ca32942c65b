/** Applies a settled batch to the partitions of its lane, and gives their leases. */
import type { Lease } from '@eventflow/db'
import type { Settlement } from '../batch/settlement.js'
import { advanceEventTimes } from '../partition/event-time.js'
import { memoryOf, type Partition } from '../partition/partition.js'

/**
 * Blocks the keys that need a retry, remembers which seqs are settled, and advances the event times. Returns how many
 * of the settled events were late.
 */
export function applySettlement(settlement: Settlement, partitions: ReadonlyMap<number, Partition>): number {
  const { processed, failed, fresh, retried, refused, blocked } = settlement
  const now = performance.now()
  for (const { delivery } of [...processed, ...failed]) {
    const { partition, seq } = delivery.event
    const memory = memoryOf(partitions.get(partition))
    // Replayed events mostly lie far below the position. With several scans, one may be far behind, and the set would
    // grow without limit.
    if (memory?.scans.length === 1 && seq > memory.scans[0].position) memory.settled.add(seq)
  }
  for (const { delivery } of [...processed, ...failed, ...retried]) {
    const partition = partitions.get(delivery.event.partition)
    if (partition) partition.settledAt = now
  }
  for (const { event } of refused) {
    const memory = memoryOf(partitions.get(event.partition))
    if (!memory) continue
    memory.refusedSeq = Math.min(memory.refusedSeq, event.seq)
    // It will never be settled, and must not hold windows for ever.
    memory.holds.settled([event.seq], memory.holds.open)
  }
  for (const { delivery, delayMs } of blocked) {
    memoryOf(partitions.get(delivery.event.partition))?.keys.block({ ...delivery, crashes: 0 }, now + delayMs)
  }
  const settled = [...fresh, ...failed].map(({ delivery }) => delivery.event)
  return advanceEventTimes(settled, partitions)
}

/**
 * The leases of a lane. A partition that must begin again has no lease, so its events in the current batch are not
 * settled.
 */
export function leasesOf(partitions: ReadonlyMap<number, Partition>): Map<number, Lease> {
  const leases = new Map<number, Lease>()
  for (const partition of partitions.values())
    if (partition.state.source !== 'new') leases.set(partition.id, leaseOf(partition))
  return leases
}

/**
 * The lease of a partition. The fence ignores the mark (`dirty: null`) while the partition is read from Postgres,
 * because Postgres has every event.
 */
export function leaseOf({ id, epoch, state }: Partition): Lease {
  return { partition: id, epoch, dirty: state.source === 'stream' ? 0 : null }
}
