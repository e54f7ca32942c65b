/**
 * Suspects: the events of a partition that may be why its last owners died. They are worked on a few at a time, then
 * one by one.
 */
import type { Delivery } from '@eventflow/core'
import { type Db, recordSuspects, takeBackSuspicion } from '@eventflow/db'
import { BATCH, BATCH_BYTES } from '../batch/batch.js'
import { handOf, type Partition, restart } from '../partition/partition.js'
import { leaseOf } from './keep.js'
import type { LaneState, Work } from './lane-state.js'

/**
 * After so many crashes in a row the events themselves are suspects. One alone is a matter of machines and deployments.
 */
const SUSPICIOUS_CRASHES = 2

/** A batch has events of several partitions: most of the time no more than so many of one were in hand. */
const FIRST_SUSPECTS = BATCH / 8

/** So many go together at first: most crashes are chance, and then a few groups are soon done. */
const SUSPECTS_TOGETHER = 32

/**
 * How many events of a partition are suspects after `crashes` owners in a row have died. They cost a transaction a few,
 * and two crashes may still be chance; each further crash doubles the number, up to all that an owner can have had in
 * hand.
 */
export function suspectsAfter(crashes: number): number {
  if (crashes < SUSPICIOUS_CRASHES) return 0
  return Math.min(BATCH, FIRST_SUSPECTS * 2 ** (crashes - SUSPICIOUS_CRASHES))
}

/**
 * The suspects at the beginning of `deliveries` that go together: those of the first one's partition, which has `left`
 * of them, a few at a time. One with which a worker died when only a few were in hand goes alone.
 */
export function firstSuspects(deliveries: readonly Delivery[], left: number): Delivery[] {
  const first = deliveries[0]!
  if (first.crashes > 0) return [first]
  const together: Delivery[] = []
  let bytes = 0
  for (const delivery of deliveries) {
    const isOne = delivery.crashes === 0 && delivery.event.partition === first.event.partition
    if (!isOne || together.length === Math.min(left, SUSPECTS_TOGETHER) || bytes >= BATCH_BYTES) break
    together.push(delivery)
    bytes += delivery.payload.length
  }
  return together
}

/**
 * Suspects as they are to be recorded, each with the attempt that is made now. `before` has, by seq, the crashes that
 * they had before this worker's attempts, until those are taken back: where that fails, or an answer is lost, they are
 * read with an attempt that the worker has lived through.
 */
function countAttempt(suspects: readonly Delivery[], before: Map<number, number>): Delivery[] {
  return suspects.map((suspect) => {
    const { seq } = suspect.event
    const crashes = Math.min(suspect.crashes, before.get(seq) ?? suspect.crashes)
    before.set(seq, crashes)
    return { ...suspect, crashes: crashes + 1, inRetries: true }
  })
}

/**
 * How suspects are processed: with the attempt recorded before it is made. `processAndSettle` must process all it is
 * given together.
 */
export function createSuspectWork(
  { db }: { db: Db },
  { stopping, drops }: Pick<LaneState, 'stopping' | 'drops'>,
  processAndSettle: Work,
): (suspects: readonly Delivery[], partition: Partition) => Promise<void> {
  /** Of each partition, the suspects whose attempt may still be recorded: see `countAttempt`. */
  const attempted = new WeakMap<Partition, Map<number, number>>()

  return async (suspects, partition) => {
    // There may be a thousand of them: the next owner of the partition continues with them.
    drops.carryOut()
    if (stopping.aborted) restart(partition)
    const hand = handOf(partition)
    // With the partition given up they must not be written down: they would be begun with, and go before events of
    // their keys that are not.
    if (!hand) return
    const admitted = hand.keys.takeIn(suspects)
    if (admitted.length === 0) return
    partition.suspects = Math.max(0, partition.suspects - admitted.length)
    const before = attempted.get(partition) ?? new Map<number, number>()
    attempted.set(partition, before)
    const recorded = countAttempt(admitted, before)
    if (!(await recordSuspects(db, recorded, leaseOf(partition)))) {
      restart(partition)
      return
    }
    await processAndSettle(recorded)
    // The worker survived them. What is blocked now is no suspect any more; what was given up is as suspect as it was
    // before.
    const crashesOf = ({ event, crashes }: Delivery) => (handOf(partition)?.keys.holds(event) ? 0 : crashes - 1)
    await takeBackSuspicion(
      db,
      recorded.map((delivery) => ({ delivery, before: crashesOf(delivery) })),
    )
    for (const { event } of recorded) before.delete(event.seq)
  }
}
