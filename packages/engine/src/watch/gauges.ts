/** The gauges of a worker that are looked up when somebody asks. */
import type { Db } from '@eventflow/db'
import { readDependencies } from '@eventflow/monitor'
import type { Redis } from '@eventflow/redis'
import type { WorkerMetrics } from '@eventflow/runtime'
import type { Lane } from '../lane/lane.js'

/** Brings them up to date: what the lanes hold, and who answers. Never rejects. */
export async function refreshWorkerGauges(
  { db, redis, metrics }: { db: Db; redis: Redis; metrics: WorkerMetrics },
  lanes: readonly Lane[],
): Promise<void> {
  const dependencies = await readDependencies(db, redis)
  metrics.dependencyUp.set({ dependency: 'postgres' }, dependencies.postgres ? 1 : 0)
  metrics.dependencyUp.set({ dependency: 'redis' }, dependencies.redis ? 1 : 0)
  metrics.catchingUp.reset()
  metrics.waitingEvents.reset()
  for (const held of lanes.flatMap((lane) => lane.held())) {
    const partition = `${held.partition}`
    metrics.catchingUp.set({ partition }, held.source === 'postgres' ? 1 : 0)
    metrics.waitingEvents.set({ partition }, held.waiting)
  }
}
