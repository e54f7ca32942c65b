/** Watches what operators do with a consumer group: pause, resume, reset, delete. */
import { type Db, type Generation, readGroup } from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import type { CompiledConsumer } from './consumers.js'
import { beginAgain, type GroupPartition } from './group-partition.js'

export interface WatchDeps {
  db: Db
  consumer: CompiledConsumer
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
export function createGroupWatch(groupId: number, { db, consumer, log }: WatchDeps): GroupWatch {
  let lookAt = 0
  let known: Generation | undefined
  let told: string | undefined

  async function look(partitions: ReadonlyMap<number, GroupPartition>): Promise<Generation | undefined> {
    if (performance.now() < lookAt) return known
    const group = await readGroup(db, groupId)
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

  function reasonToWait(group: Awaited<ReturnType<typeof readGroup>>): string | undefined {
    if (!group) return 'it was deleted'
    if (group.pausedFor !== null) return group.pausedFor
    if (group.version > consumer.version) return `a worker has version ${group.version} of its definition`
    return undefined
  }

  return {
    look,
    changed() {
      lookAt = 0
    },
  }
}
