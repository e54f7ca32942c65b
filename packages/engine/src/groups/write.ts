/**
 * The transaction of a batch of a consumer group: it moves the cursor, which is its fence, writes what failed, and runs
 * the handlers. So the effects of a group happen once, and after a crash the group goes on where its effects end.
 */
import { type Failed, historyWith, type Processed, type Retry } from '@eventflow/core'
import {
  type Db,
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
import type { Announce } from '@eventflow/intake'
import type { BatchTrace } from '../batch/trace.js'
import type { HandlerLimits } from '../settle/effects.js'
import { type Part, SettlingStoppedError } from '../settle/settle.js'
import { withHandlers } from '../settle/with-handlers.js'
import type { Written } from '../settle/write.js'
import type { CompiledConsumer } from './consumers.js'
import type { LogDelivery } from './delivery.js'
import { createEmits, EmitConflictError, type EmitDeps, type Inserted } from './emits.js'
import { beginAgain, type GroupPartition } from './group-partition.js'
import { runHandlers } from './handlers.js'

export interface GroupWriteDeps extends EmitDeps {
  /** The pool of the consumer groups. */
  db: Db
  consumer: CompiledConsumer
  workerId: string
  handlerLimits: HandlerLimits
  announce: Announce
}

/**
 * Writes a part of a batch. What belongs to a partition whose cursor is elsewhere by now is not written. Rejects with
 * HandlerError if a handler fails, and with SettlingStoppedError if the group must pause.
 */
export async function writePart(
  part: Part,
  generation: Generation,
  partitions: ReadonlyMap<number, GroupPartition>,
  trace: BatchTrace,
  deps: GroupWriteDeps,
): Promise<Written> {
  const { db, consumer, workerId, handlerLimits: limits, announce } = deps
  const { groupId } = generation
  stopAtPoison(part, consumer)
  const targets = targetsOf(part, partitions)
  const { result, emitted, recorded } = await withHandlers(db, async (tx, handled) => {
    const begunAt = performance.now()
    const broken = await fence(tx, part, targets, generation, partitions)
    const holds = ({ delivery }: { delivery: { event: { partition: number } } }) =>
      !broken.has(delivery.event.partition)
    const due = part.due.filter(holds)
    const processed = due.filter((outcome) => outcome.kind === 'processed') as Processed[]
    const failed = due.filter((outcome) => outcome.kind === 'failed') as Failed[]
    const retried = due.filter((outcome) => outcome.kind === 'retry') as Retry[]
    await writeFailures(tx, failed, parkingOf({ ...part, due: retried }).filter(holds))
    await endParked(tx, processed, failed)
    const emits = createEmits(consumer, generation, deps)
    if (processed.length > 0) {
      const events = processed.map(({ delivery }) => delivery.event)
      await runHandlers(consumer, events, { db, tx, limits, begunAt, trace }, emits)
      handled(events.map(({ seq }) => seq))
    }
    const emitted = await insertEmitted(tx, emits.insert)
    const recorded = emitted ? await recordTargets(tx, emitted, processed) : []
    return { result: { processed, fresh: processed, failed, retried, broken }, emitted, recorded }
  })
  for (const [id, to] of targets) if (!result.broken.has(id)) partitions.get(id)!.saved = to
  // Nothing of them may be written in a later part: it would move the cursor past what this part has left out.
  for (const id of result.broken) if (partitions.has(id)) beginAgain(partitions.get(id)!)
  for (const [id, recordedTargets] of recorded) partitions.get(id)!.unpublished = recordedTargets
  if (emitted) await announce(emitted.events, emitted.incarnation)
  return result

  async function writeFailures(tx: Transaction, failed: readonly Failed[], parking: readonly Parking[]) {
    const dead = failed.map((outcome) => ({ failed: outcome, position: (outcome.delivery as LogDelivery).position }))
    if (dead.length > 0) await insertGroupDeadLetters(tx, groupId, dead, { workerId, now: new Date() })
    if (parking.length > 0) await parkEvents(tx, groupId, parking)
  }

  async function endParked(tx: Transaction, processed: readonly Processed[], failed: readonly Failed[]) {
    const parked = (outcomes: readonly (Processed | Failed)[]) =>
      outcomes.filter(({ delivery }) => delivery.inRetries).map(({ delivery }) => delivery.event.seq)
    const ended = { processed: parked(processed), failed: parked(failed) }
    if (ended.processed.length + ended.failed.length > 0) await endParking(tx, groupId, ended)
  }

  function insertEmitted(tx: Transaction, insert: (tx: Transaction) => Promise<Inserted | undefined>) {
    return insert(tx).catch((error) => {
      throw error instanceof EmitConflictError ? new SettlingStoppedError(error.message, { cause: error }) : error
    })
  }

  /** Resolves with what is recorded for each partition once the transaction is committed. */
  async function recordTargets(tx: Transaction, { events }: Inserted, processed: readonly Processed[]) {
    const targets = new Set(events.map(({ partition }) => partition))
    const sources = [...new Set(processed.map(({ delivery }) => delivery.event.partition))]
    const recorded: [partition: number, targets: ReadonlySet<number>][] = []
    for (const id of sources) {
      const { unpublished } = partitions.get(id)!
      if ([...targets].every((target) => unpublished.has(target))) continue
      const all = new Set([...unpublished, ...targets])
      await recordUnpublished(tx, generation, id, [...all])
      recorded.push([id, all])
    }
    return recorded
  }
}

/** A group with `onPoison: 'pause'` stops at an event that cannot be handled. */
function stopAtPoison({ due }: Part, { onPoison }: CompiledConsumer): void {
  if (onPoison !== 'pause') return
  const poison = due.find((outcome) => outcome.kind === 'failed') as Failed | undefined
  if (!poison) return
  const { event } = poison.delivery
  const { errorClass, message } = poison.failure
  throw new SettlingStoppedError(
    `event ${event.id} of type '${event.type}' cannot be handled: ${errorClass}: ${message}`,
  )
}

/** Where the cursors are once a part is handled. */
function targetsOf({ due, blocked }: Part, partitions: ReadonlyMap<number, GroupPartition>): Map<number, number> {
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
async function fence(
  tx: Transaction,
  part: Part,
  targets: ReadonlyMap<number, number>,
  generation: Generation,
  partitions: ReadonlyMap<number, GroupPartition>,
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
    if (!partition || partition.state === 'new' || broken.has(id)) {
      broken.add(id)
      return []
    }
    return { partition: id, epoch: partition.lease.epoch, from: partition.saved, to }
  })
  if (moves.length > 0) for (const id of await moveCursors(tx, generation, moves)) broken.add(id)
  return broken
}

/** The rows of what waits: events to be retried, and the events behind them that have no row yet. */
function parkingOf({ due, blocked, waiting }: Part): Parking[] {
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
