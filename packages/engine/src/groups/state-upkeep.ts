/** What a window or a join does between two batches: time passes by marks, and what it has passed ends. */
import { failureOf, PermanentError } from '@eventflow/core'
import { findDue, type Generation, moveCursors, type Passed, sqlErrorKind, withTransaction } from '@eventflow/db'
import { failureOfCommit, HandlerError } from '../settle/handler-failure.js'
import { SettlingStoppedError } from '../settle/settle.js'
import { beginAgain, type GroupPartition } from './group-partition.js'
import { applyCommitted, recordTargets } from './group-rows.js'
import { beginPassing } from './passing.js'
import { callWithResults, emitResults, loudOf } from './results.js'
import type { StateWriteDeps } from './write-state.js'

export interface StateUpkeep {
  /** Passes marks that no event takes along. */
  passMarks(generation: Generation): Promise<void>
  /** Ends a limited number of windows or waiting events. Resolves with whether there may be more. */
  expire(generation: Generation): Promise<boolean>
}

/** Creates the upkeep for the partitions of a lane. */
export function createStateUpkeep(partitions: ReadonlyMap<number, GroupPartition>, deps: StateWriteDeps): StateUpkeep {
  const { db, consumer, announce } = deps
  const stateful = consumer.stateful!
  /** How often the results of the same windows could not be made, in a row. */
  let failures = 0

  async function passMarks(generation: Generation): Promise<void> {
    const moving = [...partitions.values()].filter(({ phase, state }) => phase === 'log' && state.marks.length > 0)
    if (moving.length === 0) return
    const moves = moving.map(({ lease, saved, read }) => ({ ...lease, from: saved, to: read }))
    const { broken, passing } = await withTransaction(db, async (tx) => {
      const broken = await moveCursors(tx, generation, moves)
      const marks = moving.filter(({ lease }) => !broken.has(lease.partition)).flatMap(({ state }) => state.marks)
      const passing = await beginPassing(tx, { events: [], marks }, partitions, stateful.definition)
      for (const mark of marks) passing.mark(mark)
      await passing.write(tx, generation)
      return { broken, passing }
    })
    passing.keep()
    for (const partition of moving) {
      partition.state.marks = []
      if (broken.has(partition.lease.partition)) beginAgain(partition)
      else partition.saved = partition.read
    }
  }

  async function expire(generation: Generation): Promise<boolean> {
    // Also of partitions that were just begun: else each failure would let one more batch be read before it.
    const ready = [...partitions.values()].filter(({ phase, state }) => phase !== 'new' && state.passed.size > 0)
    if (ready.length === 0) return false
    const all = ready.flatMap(({ lease, state }) =>
      [...state.passed].map(([tenantId, watermark]): Passed => ({ partition: lease.partition, tenantId, watermark })),
    )
    const passed = await findDue(db, stateful.definition.kind, generation, all)
    for (const place of all) if (!passed.includes(place)) forget(place)
    if (passed.length === 0) return false
    let hasCalled = false
    const { emitted, recorded, more, broken } = await withTransaction(db, async (tx) => {
      // The cursors stay where they are: moving them is the fence.
      const due = new Set(passed.map(({ partition }) => partitions.get(partition)!))
      const moves = [...due].map(({ lease, saved }) => ({ ...lease, from: saved, to: saved }))
      const broken = await moveCursors(tx, generation, moves)
      const ours = passed.filter(({ partition }) => !broken.has(partition))
      const { results, more } = await stateful.expire(tx, ours, generation)
      const loud = await loudOf(tx, results, generation, { stateful, partitions })
      const emitted = await emitResults(tx, loud, generation, deps)
      const sources = loud.map(({ partition }) => partition)
      const recorded = emitted ? await recordTargets(tx, emitted, sources, generation, partitions) : []
      await callWithResults(tx, loud, deps)
      hasCalled = stateful.calls !== undefined && loud.length > 0
      return { emitted, recorded, more, broken }
    }).catch((error) => judge(error, hasCalled))
    failures = 0
    applyCommitted({ targets: new Map(), broken, recorded }, partitions)
    if (!more) for (const place of passed) forget(place)
    if (emitted) await announce(emitted.events, emitted.incarnation)
    return more
  }

  /** Results cannot be skipped, so the group pauses at one that cannot be made. */
  function judge(error: unknown, hasCalled: boolean): never {
    const ofCommit = hasCalled && ['data', 'statement'].includes(sqlErrorKind(error)) && failureOfCommit(error)
    const failed = ofCommit || (error instanceof HandlerError && error)
    const isWrong = error instanceof PermanentError || (failed && failed.failure.failureType === 'permanent')
    const isAttempt = failed && !failed.excusable && failed.failure.failureType !== 'unavailable'
    const isOver = isAttempt && ++failures >= consumer.retry.attempts
    if (!isWrong && !isOver) throw error
    const { errorClass, message } = failed ? failed.failure : failureOf(error, 'handle')
    throw new SettlingStoppedError(`a result cannot be made: ${errorClass}: ${message}`, { cause: error })
  }

  function forget({ partition, tenantId, watermark }: Passed): void {
    const { passed } = partitions.get(partition)!.state
    if (passed.get(tenantId) === watermark) passed.delete(tenantId)
  }

  return { passMarks, expire }
}
