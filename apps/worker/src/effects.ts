/** The handlers' effects, in the transaction that settles their events. */
import type { AcceptedEvent, Commit } from '@eventflow/core'
import { orderingKey } from '@eventflow/core'
import { isStatementTimeout, sqlErrorKind } from '@eventflow/db'
import type { Sql } from '@eventflow/pipeline'
import type { CompiledDefinition, Definitions } from './definitions.js'
import type { Settling } from './settle.js'
import type { BatchTrace } from './trace.js'

/** A handler failed, and neither the connection nor another transaction is to blame. */
export class HandlerError extends Error {
  override name = 'HandlerError'
}

/** Whether committing this outcome runs a handler. */
export function hasEffect({ delivery }: Commit, definitions: Definitions): boolean {
  const definition = definitions.get(delivery.event.type)
  return definition?.handle !== undefined || definition?.handleBatch !== undefined
}

/**
 * Runs the handlers of these events. Throws HandlerError with the handler's own error as its cause. A statement that takes too
 * long is the server's fault, unless `blameTimeouts`.
 */
export async function applyEffects(
  events: readonly AcceptedEvent[],
  definitions: Definitions,
  tx: Sql,
  { blameTimeouts, trace }: Pick<Settling, 'blameTimeouts' | 'trace'>,
): Promise<void> {
  for (const { type, events: group } of groupByType(events)) {
    const definition = definitions.get(type)
    try {
      if (definition) await runHandlers(definition, group, tx, trace)
    } catch (error) {
      const kind = sqlErrorKind(error)
      const blamed = blameTimeouts && isStatementTimeout(error)
      if (kind === 'conflict' || (kind === 'infrastructure' && !blamed)) throw error
      throw new HandlerError('a handler failed', { cause: error })
    }
  }
}

async function runHandlers(
  definition: CompiledDefinition,
  group: readonly AcceptedEvent[],
  tx: Sql,
  trace: BatchTrace | undefined,
): Promise<void> {
  if (definition.handleBatch) {
    const run = () => definition.handleBatch!(group, tx)
    await (trace ? trace.handleBatch(group, run) : run())
  }
  if (!definition.handle) return
  for (const event of group) {
    const run = () => definition.handle!(event, tx)
    await (trace ? trace.handle(event, run) : run())
  }
}

/**
 * Groups events by type for their handlers, as few groups as the order of each key allows: an event joins the last group
 * of its type, unless a later group holds an earlier event of its key.
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
