/** The dashboards, each with the name of its file. */
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { dependencies } from './dependencies.js'
import { overview } from './overview.js'
import { partitions } from './partitions.js'
import { streams } from './streams.js'
import { workers } from './workers.js'

/** The text of each file in `grafana/dashboards`, by its name. */
export function dashboardFiles(): Map<string, string> {
  const dashboards: Record<string, Dashboard> = { overview, partitions, workers, streams, dependencies }
  return new Map(
    Object.entries(dashboards).map(([name, dashboard]) => [`${name}.json`, `${JSON.stringify(dashboard, null, 2)}\n`]),
  )
}
