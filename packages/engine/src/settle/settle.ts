/**
 * Settling: writes the outcomes of a batch in one transaction, behind the fence.
 *
 * Entries are acknowledged only after the COMMIT. After a crash in between, the entries are delivered again to the next
 * owner, which finds their events settled: this repeats work, but no effects.
 */
import {
  type Delivery,
  type Failure,
  failureOf,
  historyWith,
  type Outcome,
  outcomeOfFailure,
  type Retry,
  type RetryPolicy,
  type Wait,
} from '@eventflow/core'
import { type Db, isAnswering, isCancelled, sqlErrorKind } from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import { emptySettlement, type Settlement } from '../batch/settlement.js'
import { HandlerError } from './handler-failure.js'
import type { Settling } from './settling.js'
import type { Due, Written } from './write.js'

export interface SettleDeps {
  db: Db
  log: Logger
  orderOf: (delivery: Delivery) => string
  retryOf: (delivery: Delivery) => RetryPolicy
  /** Returns a number in [0, 1), for the jitter of retries. */
  random: () => number
}

/** A part of a batch, separated into what is written now and what waits. */
export interface Part {
  due: Due[]
  /** Events that need a retry or wait, and the later events of their keys. */
  blocked: Settlement['blocked']
  waiting: Wait[]
}

/** The batch must not be settled further: its owner decides what happens. */
export class SettlingStoppedError extends Error {
  override name = 'SettlingStoppedError'
}

/** Writes a part in one transaction. Rejects with HandlerError if a handler fails. */
export type Write = (part: Part) => Promise<Written>

/**
 * Settles a batch. If one event makes the transaction fail (its handler fails, or Postgres cannot store a value of it),
 * its outcome changes and the others are settled without it. To find that event, the batch is halved. Rejects when
 * Postgres is away, or the worker must stop while a slow handler fails. Settling the same batch again is always safe,
 * even if a part of it was committed.
 */
export async function settleBatch(
  outcomes: readonly Outcome[],
  write: Write,
  settling: Pick<Settling, 'stopping' | 'transactionSize' | 'blockedKeys'>,
  deps: SettleDeps,
): Promise<Settlement> {
  const { db, orderOf, log } = deps
  const { transactionSize } = settling
  const settlement = emptySettlement()
  const blockedKeys = new Set(settling.blockedKeys)

  /**
   * Settles the parts in the order of the events: none may be settled before an earlier event of its key that fails.
   */
  async function settleAll(part: readonly Outcome[]): Promise<void> {
    if (part.length === 0) return
    if (part.length > transactionSize.events) {
      const first = transactionSize.events
      await settleAll(part.slice(0, first))
      return settleAll(part.slice(first))
    }
    try {
      const isFull = part.length === transactionSize.events
      await settlePart(part)
      if (isFull) transactionSize.events += Math.ceil(transactionSize.events / 16)
    } catch (error) {
      // Our own statement was cancelled because it took too long. The caller settles the batch again, then with half
      // the size.
      if (isCancelled(error)) transactionSize.events = Math.max(1, part.length >> 1)
      if (error instanceof SettlingStoppedError || !concernsEvents(error) || (await mustGiveUp(error))) throw error
      if (error instanceof HandlerError && error.tookTooLong) transactionSize.events = Math.max(1, part.length >> 1)
      const suspects = suspectsIn(part, error)
      const [at] = suspects as [number]
      if (suspects.length > 1) {
        const middle = suspects[suspects.length >> 1]
        await settleAll(part.slice(0, middle))
        await settleAll(part.slice(middle))
      } else {
        await settleAll([...part.slice(0, at), ...outcomesInstead(part[at]!, error)])
        // In halves: if every handler fails, settling all the rest at once would insert and roll back the whole rest
        // each time.
        const middle = (at + 1 + part.length) >> 1
        await settleAll(part.slice(at + 1, middle))
        await settleAll(part.slice(middle))
      }
    }
  }

  async function settlePart(part: readonly Outcome[]): Promise<void> {
    const separated = separate(part, blockedKeys, orderOf)
    const { blocked, waiting } = separated
    const written = await write(separated)
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
   * While Postgres is away, an error says nothing about an event. And a stop must not wait for every slow handler of a
   * batch.
   */
  async function mustGiveUp(error: unknown): Promise<boolean> {
    if (!(error instanceof HandlerError)) return sqlErrorKind(error) === 'other' && !(await isAnswering(db))
    if (error.isSlow && settling.stopping.aborted) return true
    return error.excusable && !(await isAnswering(db))
  }

  /** The outcome to settle instead of one that Postgres refused; empty if there is nothing left to try. */
  function outcomesInstead(outcome: Outcome, error: unknown): Outcome[] {
    if (outcome.kind !== 'failed' || outcome.failure.component !== 'settle') return [outcomeAfter(outcome, error, deps)]
    log.error(
      { err: error, event_id: outcome.delivery.event.id },
      'Postgres can store this event neither as processed nor as failed; it stays unsettled',
    )
    settlement.refused.push(outcome.delivery)
    return []
  }

  await settleAll(outcomes)
  return settlement
}

/** The indexes of the events that may have made the transaction fail: those of the failed call, or all. */
function suspectsIn(part: readonly Outcome[], error: unknown): number[] {
  const everywhere = [...part.keys()]
  if (!(error instanceof HandlerError)) return everywhere
  const seqs = new Set(error.seqs)
  return everywhere.filter((at) => part[at]!.kind === 'processed' && seqs.has(part[at]!.delivery.event.seq))
}

/** After this many failures in a row while Postgres answers, the handler is blamed for the errors of its statements. */
const BLAME_AFTER = 3

/** How long an event waits after the first such failure, in milliseconds; twice as long after the second. */
const EXCUSED_DELAY_MS = 100

/** The new outcome of an event that made its transaction fail. */
function outcomeAfter(outcome: Outcome, error: unknown, { retryOf, random }: SettleDeps): Outcome {
  const { kind, delivery } = outcome
  // Postgres refused the row of the event's own failure, so the refusal is recorded instead.
  if (kind !== 'processed') return { kind: 'failed', delivery: { ...delivery, history: [] }, failure: refusalOf(error) }
  if (!(error instanceof HandlerError)) return { kind: 'failed', delivery, failure: refusalOf(error) }
  const { failure, excusable } = error
  const excused = (delivery.excused ?? 0) + 1
  if (excusable && excused < BLAME_AFTER) {
    return { kind: 'wait', delivery: { ...delivery, excused }, failure, delayMs: EXCUSED_DELAY_MS * excused }
  }
  return outcomeOfFailure(delivery, failure, retryOf(delivery), random())
}

/**
 * Separates what is written from what is blocked: an event that needs a retry, and every later event of its key. A
 * retry is in both lists: its row is written and its key is blocked.
 */
function separate(
  outcomes: readonly Outcome[],
  blockedBefore: ReadonlySet<string>,
  orderOf: SettleDeps['orderOf'],
): Part {
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

/** The delivery for the next attempt. The event is in `retries` now, so its stream entries are no longer needed. */
function afterFailure({ delivery, failure }: Retry): Delivery {
  const history = historyWith(delivery, failure, new Date())
  return { ...delivery, entryIds: [], attempts: delivery.attempts + 1, excused: 0, history, inRetries: true }
}

/**
 * Whether the error may be due to single events. A mistake in our own statements, or a server that is away, affects all
 * of them, so halving would not help.
 */
function concernsEvents(error: unknown): boolean {
  const kind = sqlErrorKind(error)
  return error instanceof HandlerError || kind === 'data' || kind === 'other'
}

/** The failure of an event that Postgres, or JSON, cannot store. It is permanent: it would be refused again. */
function refusalOf(error: unknown): Failure {
  const failure: Failure = { ...failureOf(error, 'settle'), failureType: 'permanent' }
  return sqlErrorKind(error) === 'data'
    ? { ...failure, errorClass: `SQLSTATE ${(error as { code: string }).code}` }
    : failure
}
