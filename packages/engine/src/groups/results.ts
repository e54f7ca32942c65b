/** Results of windows and joins: each is emitted as an event, and given to the definition's function. */
import { failureOf, PermanentError, partitionOf, UnavailableError, uuidOf } from '@eventflow/core'
import type { Generation, NewEvent, Transaction } from '@eventflow/db'
import type { Called } from '@eventflow/sdk/user-code'
import { traceBatch } from '../batch/trace.js'
import { callHandler } from '../settle/effects.js'
import { HandlerError } from '../settle/handler-failure.js'
import { checkEmitted, type EmitDeps, type Inserted, insertEmitted } from './emitted-event.js'
import type { GroupPartition } from './group-partition.js'
import type { Result, Stateful } from './stateful.js'
import type { GroupWriteDeps } from './write.js'

/**
 * Resolves with the results that are to be emitted: not those that a former generation has emitted. `targets`: where the
 * cursors will be, if the transaction moves them.
 */
export async function loudOf(
  tx: Transaction,
  results: readonly Result[],
  generation: Generation,
  at: {
    stateful: Stateful
    partitions: ReadonlyMap<number, GroupPartition>
    targets?: ReadonlyMap<number, number>
  },
): Promise<Result[]> {
  const isSilent = ({ partition }: Result) => {
    const { saved, state } = at.partitions.get(partition)!
    return (at.targets?.get(partition) ?? saved) <= state.silentUntil
  }
  const silent = results.filter(isSilent)
  const leftOpen = new Set(silent.length > 0 ? await at.stateful.leftOpen(tx, silent, generation) : [])
  return results.filter((result) => leftOpen.has(result) || !isSilent(result))
}

/**
 * Inserts the events of results. Rejects with PermanentError if one does not fit its type, and with SettlingStoppedError
 * if it was emitted before with other content.
 */
export async function emitResults(
  tx: Transaction,
  results: readonly Result[],
  generation: Generation,
  deps: EmitDeps & Pick<GroupWriteDeps, 'consumer'>,
): Promise<Inserted | undefined> {
  const { emit: type } = deps.consumer.stateful!
  if (type === undefined || results.length === 0) return undefined
  const events: NewEvent[] = []
  for (const result of results) events.push(await eventOf(result, type, generation, deps))
  return insertEmitted(tx, events)
}

async function eventOf(
  { title, tenantId, name, key, time, data, hops, correlationId, causationId }: Result,
  type: string,
  { groupId, generation }: Generation,
  deps: EmitDeps & Pick<GroupWriteDeps, 'consumer'>,
): Promise<NewEvent> {
  const { payload } = await checkEmitted({ tenantId, type, data, hops }, deps).catch((error) => {
    if (error instanceof UnavailableError) throw error
    const { message, problems } = failureOf(error, 'handle')
    throw new PermanentError(`${title}: the emitted event of type '${type}' ${message}`, { problems, cause: error })
  })
  const id = uuidOf(tenantId, `group:${groupId}:${generation}`, name)
  return {
    ...{ tenantId, id, type, key, payload, hops },
    source: `/groups/${deps.consumer.name}`,
    partition: partitionOf(tenantId, key, deps.partitions),
    occurredAt: time,
    correlationId: correlationId ?? id,
    ...(causationId !== undefined && { causationId }),
  }
}

/** Calls the definition's function for each result, in order. Rejects with HandlerError if it fails. */
export async function callWithResults(
  tx: Transaction,
  results: readonly Result[],
  { db, consumer, handlerLimits: limits }: GroupWriteDeps,
): Promise<void> {
  const { calls } = consumer.stateful!
  if (calls === undefined) return
  const called: Called = { type: consumer.name, name: calls, component: 'handle' }
  const calling = { db, tx, limits, begunAt: performance.now(), trace: traceBatch([], undefined), all: [] }
  for (const { title, call } of results) {
    if (!call) continue
    await callHandler(called, [], call, calling).catch((error) => {
      if (!(error instanceof HandlerError)) throw error
      const failure = { ...error.failure, message: `${title}: ${error.failure.message}` }
      throw new HandlerError({ failure, excusable: error.excusable }, [])
    })
  }
}
