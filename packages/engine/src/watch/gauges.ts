/** The gauges of a worker that are updated when metrics are scraped. */
import type { FeedMonitor } from '@eventflow/core'
import type { Db } from '@eventflow/db'
import { readDependencies } from '@eventflow/monitor'
import type { WorkerMetrics } from '@eventflow/runtime'
import type { Lane } from '../lane/lane.js'

/** Updates the gauges of the lanes and dependencies. Never rejects. */
export async function refreshWorkerGauges(
  { db, feed, metrics }: { db: Db; feed: FeedMonitor; metrics: WorkerMetrics },
  lanes: readonly Lane[],
): Promise<void> {
  const dependencies = await readDependencies(db, feed)
  metrics.dependencyUp.set({ dependency: 'postgres' }, dependencies.postgres ? 1 : 0)
  metrics.dependencyUp.set({ dependency: 'redis' }, dependencies.redis ? 1 : 0)
  metrics.catchingUp.reset()
  metrics.waitingEvents.reset()
  for (const view of lanes.flatMap((lane) => lane.partitions())) {
    const partition = `${view.partition}`
    metrics.catchingUp.set({ partition }, view.source === 'stream' ? 0 : 1)
    metrics.waitingEvents.set({ partition }, view.waiting)
  }
}
