/** A batch of a consumer group: its handlers run, and its cursors move. */
import type { Failed, Processed } from '@eventflow/core'
import { type Db, type Generation, moveCursors, parkEvents, withTransaction } from '@eventflow/db'
import type { Tracing } from '@eventflow/runtime'
import { BATCH } from '../batch/batch.js'
import { traceBatch } from '../batch/trace.js'
import { poisoned } from '../lane/poison.js'
import { countAttempt, firstSuspects } from '../lane/suspects.js'
import type { Turns } from '../lane/turns.js'
import { type Part, type SettleDeps, settleBatch } from '../settle/settle.js'
import type { LogDelivery } from './delivery.js'
import { beginAgain, type GroupPartition } from './group-partition.js'
import type { GroupReader } from './read.js'
import { writePart } from './write.js'
import { type StateWriteDeps, writeState } from './write-state.js'

export interface GroupWorkDeps extends StateWriteDeps, Omit<SettleDeps, 'db' | 'retryOf' | 'orderOf'> {
  /** The queue in which all lanes of the process run their suspects. */
  turns: Turns
  /** Undefined if tracing is off. */
  tracing: Tracing | undefined
  /** Adds the result of a batch to the metrics. */
  measure(counts: Counts, seconds: number): void
}

interface Counts {
  processed: number
  failed: number
  retried: number
}

export interface GroupWork {
  /** Handles deliveries, which must come in order. Rejects when Postgres is away, or the group must pause. */
  work(deliveries: readonly LogDelivery[], generation: Generation): Promise<void>
  /** Saves the cursors that have passed only entries that are not for the group. Does nothing if it is not due yet. */
  savePassed(generation: Generation): Promise<void>
}

/** How often a cursor is saved for entries that are not for the group, in milliseconds. */
const SAVE_MS = 1_000

/** Creates the functions that handle batches of these partitions. */
export function createGroupWork(
  partitions: ReadonlyMap<number, GroupPartition>,
  reader: Pick<GroupReader, 'block' | 'blockedKeys' | 'orderOf'>,
  stopping: AbortSignal,
  deps: GroupWorkDeps,
): GroupWork {
  const { db, consumer, log, turns } = deps
  const { name: group, retry } = consumer
  const settleDeps = { ...deps, retryOf: () => retry, orderOf: reader.orderOf }
  const transactionSize = { events: BATCH }
  /** Suspects whose attempt may still be recorded: see `countAttempt`. */
  const attempted = new Map<number, number>()
  let savedAt = performance.now()

  async function work(deliveries: readonly LogDelivery[], generation: Generation): Promise<void> {
    const together: LogDelivery[] = []
    for (let at = 0; at < deliveries.length; ) {
      const delivery = deliveries[at]!
      const partition = partitions.get(delivery.event.partition)
      if (partition && (partition.suspects > 0 || delivery.crashes > 0)) {
        const suspects = firstSuspects(deliveries.slice(at), partition.suspects)
        at += suspects.length
        await handle(together.splice(0), generation)
        await turns(() => handleSuspects(suspects, partition, generation))
      } else {
        at++
        together.push(delivery)
      }
    }
    await handle(together, generation)
  }

  /**
   * Parks suspects, with the attempt that starts now, before it handles them: a worker that dies of them leaves rows
   * that say so. In windows and joins they keep their place in the log, since event time depends on it.
   */
  async function handleSuspects(
    suspects: readonly LogDelivery[],
    partition: GroupPartition,
    generation: Generation,
  ): Promise<void> {
    if (stopping.aborted || partition.phase === 'new') return beginAgain(partition)
    partition.suspects = Math.max(0, partition.suspects - suspects.length)
    const counted = countAttempt(suspects, attempted)
    const stay = consumer.stateful !== undefined
    const to = stay ? partition.saved : Math.max(partition.saved, ...counted.map(({ cursor }) => cursor))
    if (!(await parkSuspects(counted, partition, { generation, to, db }))) return beginAgain(partition)
    await handle(stay ? counted : counted.map((suspect) => ({ ...suspect, cursor: 0 })), generation)
    for (const { event } of counted) attempted.delete(event.seq)
  }

  async function handle(deliveries: readonly LogDelivery[], generation: Generation): Promise<void> {
    if (deliveries.length === 0) return
    const startedAt = performance.now()
    const trace = traceBatch(deliveries, deps.tracing, group)
    const outcomes = deliveries.map((delivery): Processed | Failed => {
      const [poison] = poisoned(delivery)
      return poison ?? { kind: 'processed', delivery, data: delivery.event.data, payload: delivery.payload }
    })
    const settling = { stopping, transactionSize, blockedKeys: reader.blockedKeys() }
    const write = (part: Part) =>
      consumer.stateful
        ? writeState(part, generation, partitions, deps)
        : writePart(part, generation, partitions, trace, deps)
    trace.settle()
    const settled = await settleBatch(outcomes, write, settling, settleDeps).catch((error) => {
      trace.end(undefined)
      throw error
    })
    trace.end(settled)
    const { blocked, broken, processed, failed, retried } = settled
    const holds = ({ delivery }: (typeof blocked)[number]) => !broken.has(delivery.event.partition)
    reader.block(blocked.filter(holds) as { delivery: LogDelivery; delayMs: number }[])
    const counts = { processed: processed.length, failed: failed.length, retried: retried.length }
    deps.measure(counts, (performance.now() - startedAt) / 1_000)
    const level = failed.length > 0 ? 'warn' : 'debug'
    log[level]({ group, ...counts, parked: blocked.length, fenced: [...broken] }, 'batch of a consumer group handled')
  }

  async function savePassed(generation: Generation): Promise<void> {
    if (performance.now() - savedAt < SAVE_MS) return
    savedAt = performance.now()
    // Marks are passed together with what they change.
    const passed = [...partitions.values()].filter(
      ({ phase, read, saved, state }) => phase === 'log' && read > saved && state.marks.length === 0,
    )
    if (passed.length === 0) return
    const moves = passed.map(({ lease, saved, read }) => ({ ...lease, from: saved, to: read }))
    const broken = await moveCursors(db, generation, moves)
    for (const partition of passed) {
      if (broken.has(partition.lease.partition)) beginAgain(partition)
      else partition.saved = partition.read
    }
  }

  return { work, savePassed }
}

/** Parks suspects, and moves the cursor. Resolves with false if the cursor is elsewhere by now. */
function parkSuspects(
  suspects: readonly LogDelivery[],
  partition: GroupPartition,
  { generation, to, db }: { generation: Generation; to: number; db: Db },
): Promise<boolean> {
  const { lease, saved } = partition
  return withTransaction(db, async (tx) => {
    const broken = await moveCursors(tx, generation, [{ ...lease, from: saved, to }])
    if (broken.size > 0) return false
    const parking = suspects.map((delivery) => {
      const { position, attempts, history, crashes } = delivery
      return { delivery, position, attempts, history, crashes, delayMs: 0 }
    })
    await parkEvents(tx, generation.groupId, parking)
    return true
  }).then((parked) => {
    if (parked) partition.saved = to
    return parked
  })
}
