/**
 * Settling: the outcomes of a batch become rows, in one transaction behind the fence.
 *
 * The order of the writes: everything is committed first, and only then are the entries acknowledged. A crash in
 * between delivers the entries again to the next owner, who finds their events settled: that costs work, never an
 * effect.
 */
import {
  type Delivery,
  type Failure,
  failureOf,
  historyWith,
  type Outcome,
  outcomeOfFailure,
  type Retry,
  type Wait,
} from '@eventflow/core'
import { isAnswering, isCancelled, type Lease, sqlErrorKind } from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import { emptySettlement, type Settlement } from '../batch/settlement.js'
import { HandlerError } from './handler-failure.js'
import type { Settling } from './settling.js'
import { type Due, type WriteDeps, write } from './write.js'

export interface SettleDeps extends WriteDeps {
  log: Logger
  orderOf: (delivery: Delivery) => string
  /** In [0, 1): spreads the retries. */
  random: () => number
}

/**
 * Settles a batch. Where a single event spoils the transaction, by a failing handler or by a value Postgres cannot
 * store, its outcome changes and the rest is settled without it; where it is not known which event it is, the batch is
 * halved until it is. Throws when Postgres is away; running the same batch again is always safe, whether all, a part or
 * none of it was committed.
 */
export async function settleBatch(
  outcomes: readonly Outcome[],
  leases: ReadonlyMap<number, Lease>,
  settling: Settling,
  deps: SettleDeps,
): Promise<Settlement> {
  const { db, orderOf, log } = deps
  const { room } = settling
  const settlement = emptySettlement()
  const blockedKeys = new Set<string>()

  /** In the order of the events: none may come before an earlier one of its key that fails. */
  async function settleAll(part: readonly Outcome[]): Promise<void> {
    if (part.length === 0) return
    if (part.length > room.events) {
      const first = room.events
      await settleAll(part.slice(0, first))
      return settleAll(part.slice(first))
    }
    try {
      const isFull = part.length === room.events
      await settlePart(part)
      if (isFull) room.events += Math.ceil(room.events / 16)
    } catch (error) {
      // Our own statement took too long: the batch comes again, and then in halves.
      if (isCancelled(error)) room.events = Math.max(1, part.length >> 1)
      if (!concernsEvents(error) || (await mustGiveUp(error))) throw error
      if (error instanceof HandlerError && error.tookTooLong) room.events = Math.max(1, part.length >> 1)
      const suspects = suspectsIn(part, error)
      const [at] = suspects as [number]
      if (suspects.length > 1) {
        const middle = suspects[suspects.length >> 1]
        await settleAll(part.slice(0, middle))
        await settleAll(part.slice(middle))
      } else {
        await settleAll([...part.slice(0, at), ...outcomesInstead(part[at]!, error)])
        // In halves: where every handler fails, each would have all the rest inserted and undone again.
        const middle = (at + 1 + part.length) >> 1
        await settleAll(part.slice(at + 1, middle))
        await settleAll(part.slice(middle))
      }
    }
  }

  async function settlePart(part: readonly Outcome[]): Promise<void> {
    const { due, blocked, waiting } = separate(part, blockedKeys, orderOf)
    const written = await write(due, leases, settling, deps)
    for (const partition of written.broken) settlement.broken.add(partition)
    settlement.processed.push(...written.processed)
    settlement.failed.push(...written.failed)
    settlement.retried.push(...written.retried)
    settlement.fresh.push(...written.fresh)
    settlement.blocked.push(...blocked)
    settlement.waiting.push(...waiting)
    for (const { delivery } of blocked) blockedKeys.add(orderOf(delivery))
  }

  /**
   * With the server away nothing is learned of any event; and a stop is not to wait for every slow handler of a batch.
   */
  async function mustGiveUp(error: unknown): Promise<boolean> {
    if (!(error instanceof HandlerError)) return sqlErrorKind(error) === 'other' && !(await isAnswering(db))
    if (error.isSlow && settling.stopping.aborted) return true
    return error.excusable && !(await isAnswering(db))
  }

  /** The outcome in the place of one that cannot be settled; none where there is nothing left to try. */
  function outcomesInstead(outcome: Outcome, error: unknown): Outcome[] {
    if (outcome.kind !== 'failed' || outcome.failure.component !== 'settle') return [outcomeAfter(outcome, error, deps)]
    log.error(
      { err: error, event_id: outcome.delivery.event.id },
      'Postgres stores this event neither as processed nor as failed; it stays unsettled',
    )
    settlement.refused.push(outcome.delivery)
    return []
  }

  await settleAll(outcomes)
  return settlement
}

/** The places of those events of which one has spoilt the transaction: those of the call that failed, or all. */
function suspectsIn(part: readonly Outcome[], error: unknown): number[] {
  const everywhere = [...part.keys()]
  if (!(error instanceof HandlerError)) return everywhere
  const seqs = new Set(error.seqs)
  return everywhere.filter((at) => part[at]!.kind === 'processed' && seqs.has(part[at]!.delivery.event.seq))
}

/** After so many failures in a row, with a server that is well, a handler is at fault for what its statements meet. */
const BLAME_AFTER = 3

/** How long an event waits after the first of them, in milliseconds; after the second twice as long. */
const EXCUSED_DELAY_MS = 100

/** What becomes of an event that has spoilt its transaction. */
function outcomeAfter(outcome: Outcome, error: unknown, { definitions, random }: SettleDeps): Outcome {
  const { kind, delivery } = outcome
  // Its own failure cannot be written, so this one stands for it.
  if (kind !== 'processed') return { kind: 'failed', delivery: { ...delivery, history: [] }, failure: refusalOf(error) }
  if (!(error instanceof HandlerError)) return { kind: 'failed', delivery, failure: refusalOf(error) }
  const { failure, excusable } = error
  const excused = (delivery.excused ?? 0) + 1
  if (excusable && excused < BLAME_AFTER) {
    return { kind: 'wait', delivery: { ...delivery, excused }, failure, delayMs: EXCUSED_DELAY_MS * excused }
  }
  return outcomeOfFailure(delivery, failure, definitions.get(delivery.event.type)!.retry, random())
}

/**
 * What of a batch may be written, and what is blocked: an event that is to be retried, and every later one of its key.
 * A retry is in both: its row is written, and its event is blocked.
 */
function separate(outcomes: readonly Outcome[], blockedBefore: ReadonlySet<string>, orderOf: SettleDeps['orderOf']) {
  const due: Due[] = []
  const blocked: Settlement['blocked'] = []
  const waiting: Wait[] = []
  const blockedKeys = new Set(blockedBefore)
  for (const outcome of outcomes) {
    const { kind, delivery } = outcome
    if (blockedKeys.size > 0 && blockedKeys.has(orderOf(delivery))) {
      blocked.push({ delivery, delayMs: 0 })
      continue
    }
    if (kind === 'wait') waiting.push(outcome)
    else due.push(outcome)
    if (kind === 'wait' || kind === 'retry') {
      blockedKeys.add(orderOf(delivery))
      blocked.push({ delivery: kind === 'retry' ? afterFailure(outcome) : delivery, delayMs: outcome.delayMs })
    }
  }
  return { due, blocked, waiting }
}

/** The delivery as it will be made again: Postgres has it, so no stream entry belongs to it any more. */
function afterFailure({ delivery, failure }: Retry): Delivery {
  const history = historyWith(delivery, failure, new Date())
  return { ...delivery, entryIds: [], attempts: delivery.attempts + 1, excused: 0, history, inRetries: true }
}

/**
 * A mistake in our own statements, or a server that is away, concerns them all: nothing is learned of any one by
 * halving.
 */
function concernsEvents(error: unknown): boolean {
  const kind = sqlErrorKind(error)
  return error instanceof HandlerError || kind === 'data' || kind === 'other'
}

/** What Postgres refuses, or cannot be written as JSON, is refused the next time too. */
function refusalOf(error: unknown): Failure {
  const failure: Failure = { ...failureOf(error, 'settle'), failureType: 'permanent' }
  return sqlErrorKind(error) === 'data'
    ? { ...failure, errorClass: `SQLSTATE ${(error as { code: string }).code}` }
    : failure
}
