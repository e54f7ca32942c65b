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

/** A copy of it under another name, with changes. */
export function copyOfBuild(name: string, patches: readonly Patch[] = []): Promise<BuildCopy> {
  return copyBuild(ROOT, name, DEFINITIONS, patches)
}

/** Throws when a change does not fit what is built. */
export const checkFits = (patch: Patch) => checkPatch(ROOT, patch)
