/** Watches what operators do with a consumer group: pause, resume, reset, delete. */
import {
  type Db,
  deleteLeftovers,
  type Generation,
  performReset,
  readGroup,
  showGeneration,
  type Transaction,
  type WatchedGroup,
} from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import type { Called } from '@eventflow/sdk/user-code'
import { traceBatch } from '../batch/trace.js'
import { callHandler, type HandlerLimits } from '../settle/effects.js'
import type { CompiledConsumer } from './consumers.js'
import { beginAgain, type GroupPartition } from './group-partition.js'

export interface WatchDeps {
  db: Db
  consumer: CompiledConsumer
  handlerLimits: HandlerLimits
  log: Logger
}

export interface GroupWatch {
  /**
   * Resolves with the generation of the group; undefined while it must not be read: it is paused, it was deleted, or
   * another worker has a newer version of its definition.
   */
  look(partitions: ReadonlyMap<number, GroupPartition>): Promise<Generation | undefined>
  /** Looks again at the next call. */
  changed(): void
}

/** How often it looks, in milliseconds. */
const LOOK_MS = 1_000

/** Creates the watch of a group. */
export function createGroupWatch(groupId: number, { db, consumer, handlerLimits, log }: WatchDeps): GroupWatch {
  let lookAt = 0
  let known: Generation | undefined
  let told: string | undefined

  async function look(partitions: ReadonlyMap<number, GroupPartition>): Promise<Generation | undefined> {
    if (performance.now() < lookAt) return known
    let group = await readGroup(db, groupId)
    if (group?.resets && group.version <= consumer.version) {
      const result = await performReset(db, groupId, undo)
      log[result === 'failed' ? 'error' : 'info']({ group: consumer.name, result }, 'reset of a consumer group')
      group = await readGroup(db, groupId)
    }
    if (group && (group.isBuilding || group.hasLeftovers) && group.version === consumer.version) {
      await renewGeneration(group)
      group = await readGroup(db, groupId)
    }
    lookAt = performance.now() + LOOK_MS
    const reason = reasonToWait(group)
    if (reason !== told)
      log.info({ group: consumer.name, reason: reason ?? 'none' }, 'why a consumer group is not read has changed')
    told = reason
    const before = known
    known = reason === undefined && group ? { groupId, generation: group.generation } : undefined
    // What was read before a pause or in another generation may have changed since.
    if (known?.generation !== before?.generation) for (const partition of partitions.values()) beginAgain(partition)
    return known
  }

  /** Shows the generation that was built, once it has come as far as the former one, and deletes that piece by piece. */
  async function renewGeneration(group: WatchedGroup): Promise<void> {
    if (group.isBuilding && (await showGeneration(db, group))) {
      log.info({ group: consumer.name, generation: group.generation }, 'a new generation is shown')
    }
    await deleteLeftovers(db, groupId)
  }

  function reasonToWait(group: Awaited<ReturnType<typeof readGroup>>): string | undefined {
    if (!group) return 'it was deleted'
    if (group.pausedFor !== null) return group.pausedFor
    if (group.version > consumer.version) return `a worker has version ${group.version} of its definition`
    return undefined
  }

  /** Runs the definition's `reset`. Rejects with HandlerError if it fails. */
  async function undo(tx: Transaction): Promise<void> {
    if (!consumer.reset) return
    const called: Called = { type: consumer.name, name: 'reset', component: 'handle' }
    const begunAt = performance.now()
    const calling = { db, tx, limits: handlerLimits, begunAt, trace: traceBatch([], undefined), all: [] }
    await callHandler(called, [], (sql) => consumer.reset!(sql), calling)
  }

  return {
    look,
    changed() {
      lookAt = 0
    },
  }
}
