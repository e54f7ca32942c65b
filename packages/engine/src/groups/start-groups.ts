/** Starts the consumer groups of a worker. */
import type { Publisher } from '@eventflow/core'
import {
  connect,
  countPartitions,
  type Db,
  GROUPS_APPLICATION,
  isAway,
  registerGroups,
  sqlErrorKind,
} from '@eventflow/db'
import { createAnnouncer } from '@eventflow/intake'
import { countGroups, type Logger, type Tracing, untilDone, type WorkerMetrics } from '@eventflow/runtime'
import type { Turns } from '../lane/turns.js'
import { idleTimeoutOf } from '../ownership/ownership.js'
import type { HandlerLimits } from '../settle/effects.js'
import { type CompiledConsumer, groupOf } from './consumers.js'
import type { EmitDeps } from './emitted-event.js'
import { startGroupLane } from './group-lane.js'
import { startGroupOwnership } from './group-ownership.js'

export interface GroupsDeps extends Pick<EmitDeps, 'definitions' | 'schemas' | 'eventLimitBytes'> {
  /** The address of the database: the groups have connections of their own. */
  url: string
  publisher: Publisher
  consumers: readonly CompiledConsumer[]
  workerId: string
  leaseMs: number
  handlerLimits: HandlerLimits
  maxParked: number
  maxParkedBytes: number
  /** The partitions that this worker owns in the pipeline; undefined for a worker that reads only some groups. */
  owned: (() => number[]) | undefined
  onIncarnation: (incarnation: number) => Promise<boolean>
  random: () => number
  turns: Turns
  /** Undefined if tracing is off. */
  tracing: Tracing | undefined
  log: Logger
  metrics: WorkerMetrics
}

export interface Groups {
  /** Looks for new entries of the log at once. */
  wake(): void
  /** Finishes the current batches and gives all leases back. */
  stop(): Promise<void>
}

/** Starts the groups. Waits while Postgres is away. Rejects if a definition does not fit the group in the database. */
export async function startGroups(deps: GroupsDeps): Promise<Groups> {
  const { consumers, publisher, onIncarnation, log, metrics, workerId, leaseMs, owned } = deps
  if (consumers.length === 0) return { wake() {}, stop: async () => {} }
  countGroups(
    metrics,
    consumers.map(({ name, stateful }) => ({ name, hasTime: stateful !== undefined })),
  )
  const db = openPool(consumers.length, deps)
  const register = () => registerGroups(db, consumers.map(groupOf))
  // A batch of a former version may be in the way.
  const mayPass = (error: unknown) => isAway(error) || sqlErrorKind(error) === 'conflict'
  const ids = await untilDone('registering the consumer groups', log, register, mayPass).catch(async (error) => {
    await db.end()
    throw error
  })
  const partitions = await untilDone('reading the partitions', log, () => countPartitions(db), isAway)
  const announce = createAnnouncer({ db, publisher, onIncarnation, onUnpublished: () => {} })
  const lanes = consumers.map((consumer) => {
    const group = consumer.name
    return startGroupLane(ids.get(group)!, {
      ...deps,
      ...{ db, consumer, partitions, announce },
      measure({ processed, failed, retried }, seconds) {
        metrics.groupEvents.inc({ group, outcome: 'processed' }, processed)
        metrics.groupEvents.inc({ group, outcome: 'failed' }, failed)
        metrics.groupEvents.inc({ group, outcome: 'retried' }, retried)
        metrics.groupBatchDuration.observe({ group }, seconds)
      },
      onLate: (events) => metrics.groupLateEvents.inc({ group }, events),
    })
  })
  const ownership = startGroupOwnership({ db, workerId, leaseMs, lanes, owned, log })
  return {
    wake() {
      for (const lane of lanes) lane.wake()
    },
    async stop() {
      await Promise.all(lanes.map((lane) => lane.stop()))
      await ownership.stop()
      await db.end()
    },
  }
}

/**
 * A connection for each batch, and some for leases and announcements: a slow group takes none from another one or from
 * the pipeline.
 */
function openPool(groups: number, { url, leaseMs, log }: GroupsDeps): Db {
  return connect({
    url,
    applicationName: GROUPS_APPLICATION,
    max: groups + 4,
    idleTimeoutMs: idleTimeoutOf(leaseMs),
    onIdleError: (err) => log.warn({ err }, 'a connection to Postgres broke'),
  })
}
