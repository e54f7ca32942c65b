/** Where the compiled pipeline and the event definitions of the fault tests are. */
import { join } from 'node:path'
import { type BuildCopy, checkPatch, copyBuild, type Patch } from '@eventflow/testkit'

const ROOT = join(import.meta.dirname, '../../..')
const DEFINITIONS = join(ROOT, 'tests/dist/events')

/** The pipeline as it was compiled. */
export const places = {
  definitions: DEFINITIONS,
  scripts: { ingest: join(ROOT, 'apps/ingest/dist/main.js'), worker: join(ROOT, 'apps/worker/dist/main.js') },
  cacheDir: join(ROOT, '.eventflow/cache/redis'),
}

/** Settings with which a handler that never ends is no longer waited for than other faults last. */
export const HANDLERS_IN_A_HURRY = { EVENTFLOW_HANDLER_TIMEOUT_SECONDS: '1' }

/** Retention that counts seconds instead of days, and looks every few of them. */
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

/** Its settings, with ages in seconds: no client may take longer until an event is accepted, or it would be a new one. */
export const retentionAfter = (seconds: number) => ({
  EVENTFLOW_RETENTION_SETTLED_DAYS: `${seconds}`,
  EVENTFLOW_RETENTION_DEAD_DAYS: `${seconds}`,
})

/** A copy of it under another name, with changes. */
export function copyOfBuild(name: string, patches: readonly Patch[] = []): Promise<BuildCopy> {
  return copyBuild(ROOT, name, DEFINITIONS, patches)
}

/** Throws when a change does not fit what is built. */
export const checkFits = (patch: Patch) => checkPatch(ROOT, patch)
