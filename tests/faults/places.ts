/** Locates the compiled pipeline and the event definitions of the fault tests. */
import { join } from 'node:path'
import { type BuildCopy, checkPatch, copyBuild, type Patch } from '@eventflow/testkit'

const ROOT = join(import.meta.dirname, '../../..')
const DEFINITIONS = join(ROOT, 'tests/dist/events')

/** The compiled pipeline. */
export const places = {
  definitions: DEFINITIONS,
  scripts: { ingest: join(ROOT, 'apps/ingest/dist/main.js'), worker: join(ROOT, 'apps/worker/dist/main.js') },
  cacheDir: join(ROOT, '.eventflow/cache/redis'),
}

/** Settings that time out an endless handler after about as long as other faults last. */
export const HANDLERS_IN_A_HURRY = { EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '1' }

/** Retention that counts seconds instead of days, and runs every few seconds. */
export const RETENTION_IN_A_HURRY: readonly Patch[] = [
  { file: 'db/ledger/retention.js', find: "DAY = `interval '1 day'`", replace: "DAY = `interval '1 second'`" },
  { file: 'db/parts/part-list.js', find: "REST = `interval '1 hour'`", replace: "REST = `interval '5 seconds'`" },
  { file: 'engine/ownership/retention.js', find: 'ROUND_MS = 60_000', replace: 'ROUND_MS = 2_000' },
]

/** The window of deduplication in seconds instead of days. */
export const BUCKETS_IN_A_HURRY: readonly Patch[] = [
  { file: 'db/parts/buckets.js', find: '/ 86400 AS days', replace: '/ 1 AS days' },
]

/** Retention settings, with ages in seconds, and parts that are narrow enough to be emptied meanwhile. */
export const retentionAfter = (seconds: number, partEvents = 5_000) => ({
  EVENTFLOW_RETENTION_SETTLED_DAYS: `${seconds}`,
  EVENTFLOW_RETENTION_DEAD_DAYS: `${seconds}`,
  EVENTFLOW_PART_EVENTS: `${partEvents}`,
})

/** A copy of the build under another name, with changes. */
export function copyOfBuild(name: string, patches: readonly Patch[] = []): Promise<BuildCopy> {
  return copyBuild(ROOT, name, DEFINITIONS, patches)
}

/** Throws if a change does not fit the build. */
export const checkFits = (patch: Patch) => checkPatch(ROOT, patch)
