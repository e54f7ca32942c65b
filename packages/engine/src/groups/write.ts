/**
 * The transaction of a batch of a consumer group: it moves the cursor, which is its fence, writes what failed, and runs
 * the handlers. So the effects of a group happen once, and after a crash the group goes on where its effects end.
 */
import type { Failed, Processed, Retry } from '@eventflow/core'
import type { Db, Generation } from '@eventflow/db'
import type { Announce } from '@eventflow/intake'
import type { BatchTrace } from '../batch/trace.js'
import type { HandlerLimits } from '../settle/effects.js'
import type { Part } from '../settle/settle.js'
import { withHandlers } from '../settle/with-handlers.js'
import type { Written } from '../settle/write.js'
import type { CompiledConsumer } from './consumers.js'
import { createEmits } from './emits.js'
import { type EmitDeps, insertEmitted } from './emitted-event.js'
import type { GroupPartition } from './group-partition.js'
import {
  applyCommitted,
  endParked,
  fence,
  parkingOf,
  recordTargets,
  stopAtPoison,
  targetsOf,
  writeFailures,
} from './group-rows.js'
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
  stopAtPoison(part.due.filter((outcome) => outcome.kind === 'failed') as Failed[], consumer)
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
    const parking = parkingOf({ ...part, due: retried }).filter(holds)
    await writeFailures(tx, groupId, { failed, parking }, workerId)
    await endParked(tx, groupId, { processed, failed })
    const emits = createEmits(consumer, generation, deps)
    if (processed.length > 0) {
      const events = processed.map(({ delivery }) => delivery.event)
      await runHandlers(consumer, events, { db, tx, limits, begunAt, trace }, emits)
      handled(events.map(({ seq }) => seq))
    }
    const emitted = await insertEmitted(tx, emits.events())
    const sources = processed.map(({ delivery }) => delivery.event.partition)
    const recorded = emitted ? await recordTargets(tx, emitted, sources, generation, partitions) : []
    return { result: { processed, fresh: processed, failed, retried, broken }, emitted, recorded }
  })
  applyCommitted({ targets, broken: result.broken, recorded }, partitions)
  if (emitted) await announce(emitted.events, emitted.incarnation)
  return result
}
