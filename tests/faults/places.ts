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
  {
    file: 'db/ledger/retention.js',
    find: 'tx.query(REMOVE_PROCESSED, [days,',
    replace: 'tx.query(REMOVE_PROCESSED, [days / 86_400,',
  },
  {
    file: 'db/ledger/retention.js',
    find: 'tx.query(REMOVE_DEAD_LETTERS, [days,',
    replace: 'tx.query(REMOVE_DEAD_LETTERS, [days / 86_400,',
  },
  { file: 'engine/ownership/retention.js', find: 'ROUND_MS = 60_000', replace: 'ROUND_MS = 2_000' },
]

/**
 * Retention settings, with ages in seconds: a client must get an event accepted within this time, or a repetition would
 * be a new event.
 */
export const retentionAfter = (seconds: number) => ({
  EVENTFLOW_RETENTION_SETTLED_DAYS: `${seconds}`,
  EVENTFLOW_RETENTION_DEAD_DAYS: `${seconds}`,
})

/** A copy of the build under another name, with changes. */
export function copyOfBuild(name: string, patches: readonly Patch[] = []): Promise<BuildCopy> {
  return copyBuild(ROOT, name, DEFINITIONS, patches)
}

/** Throws if a change does not fit the build. */
export const checkFits = (patch: Patch) => checkPatch(ROOT, patch)
