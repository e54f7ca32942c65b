/** The gauges of a worker that are read when metrics are scraped. */
import type { FeedMonitor } from '@eventflow/core'
import type { Db } from '@eventflow/db'
import { readDependencies } from '@eventflow/monitor'
import type { WorkerMetrics } from '@eventflow/runtime'
import type { Lane } from '../lane/lane.js'

/** Brings them up to date: what the lanes hold, and who answers. Never rejects. */
export async function refreshWorkerGauges(
  { db, feed, metrics }: { db: Db; feed: FeedMonitor; metrics: WorkerMetrics },
  lanes: readonly Lane[],
): Promise<void> {
  const dependencies = await readDependencies(db, feed)
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
