/** The rows that every batch of a consumer group writes: its cursors, what failed, what waits, and where it emitted. */
import { type Failed, historyWith, type Processed, type Retry } from '@eventflow/core'
import {
  endParking,
  type Generation,
  insertGroupDeadLetters,
  lockParked,
  moveCursors,
  type Parking,
  parkEvents,
  recordUnpublished,
  type Transaction,
} from '@eventflow/db'
import { type Part, SettlingStoppedError } from '../settle/settle.js'
import type { CompiledConsumer } from './consumers.js'
import type { LogDelivery } from './delivery.js'
import type { Inserted } from './emitted-event.js'
import { beginAgain, type GroupPartition } from './group-partition.js'

type Partitions = ReadonlyMap<number, GroupPartition>

/** A group with `onPoison: 'pause'` stops at an event that cannot be handled. */
export function stopAtPoison(failed: readonly Failed[], { onPoison }: Pick<CompiledConsumer, 'onPoison'>): void {
  const [poison] = failed
  if (onPoison !== 'pause' || !poison) return
  const { event } = poison.delivery
  const { errorClass, message } = poison.failure
  throw new SettlingStoppedError(
    `event ${event.id} of type '${event.type}' cannot be handled: ${errorClass}: ${message}`,
  )
}

/** Where the cursors are once a part is handled. */
export function targetsOf({ due, blocked }: Part, partitions: Partitions): Map<number, number> {
  const targets = new Map<number, number>()
  for (const outcomes of [due, blocked]) {
    for (const { delivery } of outcomes) {
      const { event, cursor } = delivery as LogDelivery
      const before = targets.get(event.partition) ?? partitions.get(event.partition)?.saved ?? 0
      targets.set(event.partition, Math.max(before, cursor))
    }
  }
  return targets
}

/**
 * Moves the cursors, and checks that parked events are still as they were. Resolves with the partitions in which
 * another owner, an operator, or an earlier run of this batch has changed one of them.
 */
export async function fence(
  tx: Transaction,
  part: Part,
  targets: ReadonlyMap<number, number>,
  generation: Generation,
  partitions: Partitions,
): Promise<Set<number>> {
  const broken = new Set<number>()
  const parked = part.due.filter(({ delivery }) => delivery.inRetries).map(({ delivery }) => delivery)
  if (parked.length > 0) {
    const states = parked.map(({ event, attempts }) => ({ seq: event.seq, attempts }))
    const found = await lockParked(tx, generation.groupId, states)
    for (const { event } of parked) if (!found.has(event.seq)) broken.add(event.partition)
  }
  const moves = [...targets].flatMap(([id, to]) => {
    const partition = partitions.get(id)
    if (!partition || partition.phase === 'new' || broken.has(id)) {
      broken.add(id)
      return []
    }
    return { partition: id, epoch: partition.lease.epoch, from: partition.saved, to }
  })
  if (moves.length > 0) for (const id of await moveCursors(tx, generation, moves)) broken.add(id)
  return broken
}

/** The rows of what waits: events to be retried, and the events behind them that have no row yet. */
export function parkingOf({ due, blocked, waiting }: Part): Parking[] {
  const now = new Date()
  const parking: Parking[] = []
  const heads = new Set<number>()
  const add = (delivery: LogDelivery, attempt: Omit<Parking, 'delivery' | 'position'>) =>
    parking.push({ delivery, position: delivery.position, ...attempt })
  for (const { delivery, failure, delayMs } of due as Retry[]) {
    heads.add(delivery.event.seq)
    const history = historyWith(delivery, failure, now)
    add(delivery as LogDelivery, { attempts: delivery.attempts + 1, history, delayMs })
  }
  for (const { delivery, delayMs } of waiting) {
    heads.add(delivery.event.seq)
    add(delivery as LogDelivery, { attempts: delivery.attempts, history: delivery.history, delayMs })
  }
  for (const { delivery } of blocked) {
    if (delivery.inRetries || heads.has(delivery.event.seq)) continue
    add(delivery as LogDelivery, { attempts: delivery.attempts, history: delivery.history, delayMs: null })
  }
  return parking
}

/** Writes dead letters and parked events. */
export async function writeFailures(
  tx: Transaction,
  groupId: number,
  { failed, parking }: { failed: readonly Failed[]; parking: readonly Parking[] },
  workerId: string,
): Promise<void> {
  const dead = failed.map((outcome) => ({ failed: outcome, position: (outcome.delivery as LogDelivery).position }))
  if (dead.length > 0) await insertGroupDeadLetters(tx, groupId, dead, { workerId, now: new Date() })
  if (parking.length > 0) await parkEvents(tx, groupId, parking)
}

/** Removes the rows of parked events that are handled now. */
export async function endParked(
  tx: Transaction,
  groupId: number,
  { processed, failed }: { processed: readonly Processed[]; failed: readonly Failed[] },
): Promise<void> {
  const parked = (outcomes: readonly (Processed | Failed)[]) =>
    outcomes.filter(({ delivery }) => delivery.inRetries).map(({ delivery }) => delivery.event.seq)
  const ended = { processed: parked(processed), failed: parked(failed) }
  if (ended.processed.length + ended.failed.length > 0) await endParking(tx, groupId, ended)
}

/** The partitions that may lack emitted events, by the partition of the events that led to them. */
export type Recorded = [partition: number, targets: ReadonlySet<number>][]

/** Records the partitions of emitted events. Resolves with what is recorded once the transaction is committed. */
export async function recordTargets(
  tx: Transaction,
  { events }: Inserted,
  sources: Iterable<number>,
  generation: Generation,
  partitions: Partitions,
): Promise<Recorded> {
  const targets = new Set(events.map(({ partition }) => partition))
  const recorded: Recorded = []
  for (const id of new Set(sources)) {
    const { unpublished } = partitions.get(id)!
    if ([...targets].every((target) => unpublished.has(target))) continue
    const all = new Set([...unpublished, ...targets])
    await recordUnpublished(tx, generation, id, [...all])
    recorded.push([id, all])
  }
  return recorded
}

/** What a transaction of a group has changed. */
interface Committed {
  targets: ReadonlyMap<number, number>
  broken: ReadonlySet<number>
  recorded: Recorded
}

/** Continues in memory with what was committed. Partitions that failed the fence begin again. */
export function applyCommitted({ targets, broken, recorded }: Committed, partitions: Partitions): void {
  for (const [id, to] of targets) if (!broken.has(id)) partitions.get(id)!.saved = to
  // Nothing of them may be written in a later part: it would move the cursor past what this part has left out.
  for (const id of broken) if (partitions.has(id)) beginAgain(partitions.get(id)!)
  for (const [id, recordedTargets] of recorded) partitions.get(id)!.unpublished = recordedTargets
}
