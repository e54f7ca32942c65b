/** Runs the handlers in the transaction that settles their events. */
import type { AcceptedEvent, Processed } from '@eventflow/core'
import { orderingKey } from '@eventflow/core'
import { type Db, endSession, lendTransaction, type Transaction } from '@eventflow/db'
import { answerInTime, type Called } from '@eventflow/sdk/user-code'
import type { BatchTrace } from '../batch/trace.js'
import type { CompiledDefinition, Definitions } from '../process/definitions.js'
import { failureIn, HandlerError, nothingIn, transactionTookTooLong } from './handler-failure.js'

/** Time limits of handlers, in milliseconds. */
export interface HandlerLimits {
  callMs: number
  /** For all calls of one transaction together. */
  transactionMs: number
}

/**
 * Returns the limits of the settings, lowered where the lease requires it: a call must end before Postgres ends its
 * idle transaction, and the transaction before another worker can take its partitions.
 */
export function handlerLimitsOf({ callMs, transactionMs }: HandlerLimits, leaseMs: number): HandlerLimits {
  return { callMs: Math.min(callMs, 0.5 * leaseMs), transactionMs: Math.min(transactionMs, 0.8 * leaseMs) }
}

/** What the handler calls of one transaction share. */
export interface Calling {
  db: Db
  tx: Transaction
  limits: HandlerLimits
  /** When the transaction began, on the monotonic clock. */
  begunAt: number
  trace: BatchTrace
}

/** Whether settling this outcome runs a handler. */
export function hasEffect({ delivery }: Processed, definitions: Definitions): boolean {
  const definition = definitions.get(delivery.event.type)
  return definition?.handle !== undefined || definition?.handleBatch !== undefined
}

/**
 * Runs the handlers of these events; handlers may change the event objects. Rejects with HandlerError; then the
 * transaction must not be committed.
 */
export async function applyEffects(
  events: readonly AcceptedEvent[],
  definitions: Definitions,
  calling: Calling,
): Promise<void> {
  const all = seqsOf(events)
  for (const { type, events: group } of groupByType(events)) {
    const definition = definitions.get(type)
    if (definition) await runHandlers(definition, group, { ...calling, all })
  }
}

/** `all`: the seqs of all events of the transaction, for the error if together they take too long. */
export type CallingAll = Calling & { all: readonly number[] }

const seqsOf = (events: readonly AcceptedEvent[]) => events.map(({ seq }) => seq)

async function runHandlers(
  definition: CompiledDefinition,
  group: readonly AcceptedEvent[],
  calling: CallingAll,
): Promise<void> {
  const { type } = definition
  const { trace } = calling
  if (definition.handleBatch) {
    const called: Called = { type, name: 'handleBatch', component: 'handle' }
    const run = () => callHandler(called, seqsOf(group), (sql) => definition.handleBatch!(group, sql), calling)
    await trace.handleBatch(group, run)
  }
  if (!definition.handle) return
  const called: Called = { type, name: 'handle', component: 'handle' }
  for (const event of group) {
    const run = () => callHandler(called, [event.seq], (sql) => definition.handle!(event, sql), calling)
    await trace.handle(event, run)
  }
}

type Sql = ReturnType<typeof lendTransaction>['sql']

/**
 * Calls a handler for the events with these seqs. It may use the transaction only until the call ends. Rejects with
 * HandlerError if it fails.
 */
export async function callHandler(
  called: Called,
  seqs: readonly number[],
  handler: (tx: Sql) => unknown,
  { db, tx, limits, begunAt, all }: CallingAll,
): Promise<void> {
  const leftMs = begunAt + limits.transactionMs - performance.now()
  if (leftMs <= 0) throw transactionTookTooLong(all, limits)
  const name = `${called.name} of '${called.type}'`
  const lent = lendTransaction(tx, `tx was used after ${name} had returned: a statement of it is not awaited`)
  let thrown: { error: unknown } | undefined
  const run = async () => {
    try {
      return await handler(lent.sql)
    } catch (error) {
      thrown = { error }
      throw error
    }
  }
  const answer = await answerInTime(called, Math.min(limits.callMs, leftMs), run, nothingIn)
  const use = lent.takeBack()
  const isTimeout = !thrown && 'failure' in answer && answer.failure.errorClass === 'Timeout'
  // A statement that still runs would keep its locks and block the next transaction.
  if (use.pending > 0) await endSession(db, tx)
  if (isTimeout && leftMs < limits.callMs) throw transactionTookTooLong(all, limits)
  const failed = failureIn({ name, answer, thrown, isTimeout, use })
  if (failed) throw new HandlerError(failed, seqs)
  await lent.restoreSettings()
}

/**
 * Groups events by type for their handlers, in as few groups as the order of each key allows. An event joins the last
 * group of its type, unless a later group has an earlier event of its key.
 */
export function groupByType(events: readonly AcceptedEvent[]): { type: string; events: AcceptedEvent[] }[] {
  const groups: { type: string; events: AcceptedEvent[] }[] = []
  const lastOfType = new Map<string, number>()
  const lastOfKey = new Map<string, number>()
  for (const event of events) {
    const key = orderingKey(event)
    let index = lastOfType.get(event.type) ?? -1
    if (index < (lastOfKey.get(key) ?? 0)) {
      index = groups.push({ type: event.type, events: [] }) - 1
      lastOfType.set(event.type, index)
    }
    groups[index]!.events.push(event)
    lastOfKey.set(key, index)
  }
  return groups
}
