/** What a settled batch changes in the partitions of its lane. */
import type { Lease } from '@eventflow/db'
import type { Settlement } from '../batch/settlement.js'
import { advanceEventTimes } from '../partition/event-time.js'
import { handOf, type Partition } from '../partition/partition.js'

/**
 * Keeps what is blocked, remembers what is settled, and advances the event times. Gives how many of the settled events
 * came late.
 */
export function keepBlocked(settlement: Settlement, partitions: ReadonlyMap<number, Partition>): number {
  const { processed, failed, fresh, retried, refused, blocked } = settlement
  const now = performance.now()
  for (const { delivery } of [...processed, ...failed]) {
    const { partition, seq } = delivery.event
    const hand = handOf(partitions.get(partition))
    // Replayed events are mostly far below. Where one of several scans is far behind, they would pile up.
    if (hand?.scans.length === 1 && seq > hand.scans[0].position) hand.settled.add(seq)
  }
  for (const { delivery } of [...processed, ...failed, ...retried]) {
    const partition = partitions.get(delivery.event.partition)
    if (partition) partition.settledAt = now
  }
  for (const { event } of refused) {
    const hand = handOf(partitions.get(event.partition))
    if (hand) hand.refusedSeq = Math.min(hand.refusedSeq, event.seq)
  }
  for (const { delivery, delayMs } of blocked) {
    handOf(partitions.get(delivery.event.partition))?.keys.hold({ ...delivery, crashes: 0 }, now + delayMs)
  }
  const settled = [...fresh, ...failed].map(({ delivery }) => delivery.event)
  return advanceEventTimes(settled, partitions)
}

/**
 * The leases of a lane. A partition that is to be begun again has none: what is still in the batch of it is not
 * settled.
 */
export function leasesOf(partitions: ReadonlyMap<number, Partition>): Map<number, Lease> {
  const leases = new Map<number, Lease>()
  for (const partition of partitions.values())
    if (partition.state.source !== 'new') leases.set(partition.id, leaseOf(partition))
  return leases
}

/** What is read from Postgres is complete, mark or not. */
export function leaseOf({ id, epoch, state }: Partition): Lease {
  return { partition: id, epoch, dirty: state.source === 'stream' ? 0 : null }
}
