/**
 * Suspects: the events of a partition that may have crashed its last owners. They are processed in small groups, then
 * one by one.
 */
import type { Delivery } from '@eventflow/core'
import { type Db, recordSuspects, takeBackSuspicion } from '@eventflow/db'
import { BATCH, BATCH_BYTES } from '../batch/batch.js'
import { memoryOf, type Partition, restart } from '../partition/partition.js'
import { leaseOf } from './keep.js'
import type { LaneState, Work } from './lane-state.js'

/**
 * After this many crashes in a row, the events become suspects. A single crash is put down to the machine or a
 * deployment.
 */
const SUSPICIOUS_CRASHES = 2

/** A batch has events of several partitions, so a partition rarely has more than this many events in one. */
const FIRST_SUSPECTS = BATCH / 8

/** The most suspects in one group. Most crashes are chance, and then only a few groups are needed. */
const SUSPECTS_TOGETHER = 32

/**
 * Returns how many events of a partition are suspects after `crashes` owners in a row have died. Suspects are slow, a
 * transaction for each small group, and two crashes may still be chance. So the number starts small and doubles with
 * each further crash, up to a whole batch: the most that an owner can have been processing.
 */
export function suspectsAfter(crashes: number): number {
  if (crashes < SUSPICIOUS_CRASHES) return 0
  return Math.min(BATCH, FIRST_SUSPECTS * 2 ** (crashes - SUSPICIOUS_CRASHES))
}

/**
 * Returns the suspects at the start of `deliveries` that are processed together: a few events of the first one's
 * partition, of which `left` are suspects. An event that was in a small group when a worker died is returned alone.
 */
export function firstSuspects<Suspect extends Delivery>(deliveries: readonly Suspect[], left: number): Suspect[] {
  const first = deliveries[0]!
  if (first.crashes > 0) return [first]
  const together: Suspect[] = []
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
 * The suspects as they are recorded: each with one more crash, for the attempt that starts now. `before` maps seq to
 * the crash count from before this worker's attempts. An entry stays there until the recorded attempt is taken back in
 * Postgres. If that fails, or its answer is lost, the worker later reads a count that includes an attempt it survived,
 * and `before` corrects it.
 */
export function countAttempt<Suspect extends Delivery>(
  suspects: readonly Suspect[],
  before: Map<number, number>,
): Suspect[] {
  return suspects.map((suspect) => {
    const { seq } = suspect.event
    const crashes = Math.min(suspect.crashes, before.get(seq) ?? suspect.crashes)
    before.set(seq, crashes)
    return { ...suspect, crashes: crashes + 1, inRetries: true }
  })
}

/**
 * Creates the function that processes suspects: it records the attempt before it makes it. `processAndSettle` must
 * process all events it gets in one batch.
 */
export function createSuspectWork(
  { db }: { db: Db },
  { stopping, drops }: Pick<LaneState, 'stopping' | 'drops'>,
  processAndSettle: Work,
): (suspects: readonly Delivery[], partition: Partition) => Promise<void> {
  /** For each partition, the suspects whose attempt may still be recorded: see `countAttempt`. */
  const attempted = new WeakMap<Partition, Map<number, number>>()

  return async (suspects, partition) => {
    // There may be a thousand suspects, so drop requests are carried out between groups; the next owner continues with
    // the rest.
    drops.carryOut()
    if (stopping.aborted) restart(partition)
    const memory = memoryOf(partition)
    // If the partition was given up, its suspects must not be recorded: the next owner would load them from `retries`
    // first, ahead of earlier events of their keys.
    if (!memory) return
    const admitted = memory.keys.takeIn(suspects)
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
    // The worker survived these events. Those that are blocked now are no longer suspects; those that were given up are
    // as suspect as before.
    const crashesOf = ({ event, crashes }: Delivery) => (memoryOf(partition)?.keys.has(event) ? 0 : crashes - 1)
    await takeBackSuspicion(
      db,
      recorded.map((delivery) => ({ delivery, before: crashesOf(delivery) })),
    )
    for (const { event } of recorded) before.delete(event.seq)
  }
}
