/**
 * The transaction of a batch of a window or a join: it moves the cursor, which is its fence, lets event time pass, and
 * changes the state. Nothing of it is tried again: the same event would fail in the same way.
 */
import { type Failed, type Failure, type Processed, timeOf } from '@eventflow/core'
import { type Generation, insertLateEvents, withTransaction } from '@eventflow/db'
import type { Part } from '../settle/settle.js'
import type { Written } from '../settle/write.js'
import type { LogDelivery } from './delivery.js'
import type { GroupPartition } from './group-partition.js'
import {
  applyCommitted,
  endParked,
  fence,
  recordTargets,
  stopAtPoison,
  targetsOf,
  writeFailures,
} from './group-rows.js'
import { beginPassing, meet } from './passing.js'
import { emitResults, loudOf } from './results.js'
import type { Met, Refused } from './stateful.js'
import type { GroupWriteDeps } from './write.js'

export interface StateWriteDeps extends GroupWriteDeps {
  /** Counts late events. */
  onLate: (events: number) => void
}

/** As `writePart`, for windows and joins. */
export async function writeState(
  part: Part,
  generation: Generation,
  partitions: ReadonlyMap<number, GroupPartition>,
  deps: StateWriteDeps,
): Promise<Written> {
  const { db, consumer, workerId, announce } = deps
  const { groupId } = generation
  const stateful = consumer.stateful!
  const targets = targetsOf(part, partitions)
  const written = await withTransaction(db, async (tx) => {
    const broken = await fence(tx, part, targets, generation, partitions)
    const due = part.due.filter(({ delivery }) => !broken.has(delivery.event.partition))
    const events = due.map(({ delivery }) => delivery as LogDelivery)
    const passing = await beginPassing(tx, { events, marks: [] }, partitions, stateful.definition)
    const { late, refused, results } = await stateful.apply(tx, meet(due, passing), generation)
    const recordsLate = stateful.late === 'record'
    const failed = [
      ...(due.filter((outcome) => outcome.kind === 'failed') as Failed[]),
      ...[...refused, ...(recordsLate ? [] : late.map(refusalOf))].map(failedOf),
    ]
    stopAtPoison(failed, consumer)
    const out = new Set(failed.map(({ delivery }) => delivery.event.seq))
    const processed = due.filter(({ delivery }) => !out.has(delivery.event.seq)) as Processed[]
    await writeFailures(tx, groupId, { failed, parking: [] }, workerId)
    await endParked(tx, groupId, { processed, failed })
    if (recordsLate) await insertLateEvents(tx, generation, late.map(lateRowOf))
    await passing.write(tx, generation)
    const loud = await loudOf(tx, results, generation, { stateful, partitions, targets })
    const emitted = await emitResults(tx, loud, generation, deps)
    const sources = loud.map(({ partition }) => partition)
    const recorded = emitted ? await recordTargets(tx, emitted, sources, generation, partitions) : []
    const result = { processed, fresh: processed, failed, retried: [], broken }
    return { result, emitted, recorded, passing, late }
  })
  const { result, emitted, recorded, passing, late } = written
  applyCommitted({ targets, broken: result.broken, recorded }, partitions)
  passing.keep()
  deps.onLate(late.length)
  if (emitted) await announce(emitted.events, emitted.incarnation)
  return result
}

const failedOf = ({ delivery, failure }: Refused): Failed => ({ kind: 'failed', delivery, failure })

function refusalOf({ delivery, watermark }: Met): Refused {
  const failure: Failure = {
    component: 'handle',
    failureType: 'permanent',
    errorClass: 'LateEvent',
    message: `it happened at ${delivery.event.occurredAt}, and came after the watermark had reached ${timeOf(watermark!)}`,
    problems: [],
  }
  return { delivery, failure }
}

const lateRowOf = ({ delivery: { event, position }, watermark }: Met) => ({ event, position, watermark: watermark! })
