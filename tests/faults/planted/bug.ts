/** Bugs: each is a change to the compiled pipeline, the scenario that exposes it, and the expected finding. */
import { createDatabase, type Patch, type ViolationKind } from '@eventflow/testkit'
import { copyOfBuild, places, RETENTION_IN_A_HURRY } from '../places.js'
import { playQuickly, type QuickScenario } from '../quick/stage.js'
import { play, type Scenario } from '../scenarios.js'

export interface Bug {
  name: string
  patches: readonly Patch[]
  /** Run by processes, for faults that need a process; or, faster, within the process of the test. */
  scenario: Scenario | { quick: QuickScenario }
  /** A kind of violation, or a claim of the scenario. */
  found: ViolationKind | (string & {})
  /** It is planted in every run of the tests; the others only in the long runs. */
  telling?: true
}

/**
 * Shorter times, so that no scenario has to wait for a lease of ten seconds; a handler may take half a lease, and some
 * take a second.
 */
const SETTINGS = { EVENTFLOW_LEASE_SECONDS: '3' }

/** Other times that are not settings, and smaller limits, so that no scenario has to be large. */
export const IN_A_HURRY: readonly Patch[] = [
  {
    file: 'db/ledger/unsettled.js',
    find: 'FINAL_AFTER_MS = 2 * STATEMENT_TIMEOUT_MS',
    replace: 'FINAL_AFTER_MS = 1_000',
  },
  { file: 'engine/lane/upkeep.js', find: 'SWEEP_MS = 5_000', replace: 'SWEEP_MS = 300' },
  // The sweep for unpublished events starts when the scenario is over: earlier, it would hide many bugs.
  {
    file: 'engine/lane/upkeep.js',
    find: 'if (performance.now() - sweptAt < SWEEP_MS)',
    replace: `const { SWEEP_ONCE_THERE_IS: sign } = process.env;
              const waits = globalThis.sweepsWait || (sign && !process.getBuiltinModule('fs').existsSync(sign));
              if (waits || performance.now() - sweptAt < SWEEP_MS)`,
  },
  { file: 'engine/partition/catch-up.js', find: 'const SLICE = 250', replace: 'const SLICE = 20' },
  { file: 'db/parts/buckets.js', find: 'TURN_SECONDS = 20', replace: 'TURN_SECONDS = 0.5' },
  { file: 'upkeep/buckets.js', find: 'EVERY_MS = 5_000', replace: 'EVERY_MS = 200' },
  // A stall of a slow machine must not look like a lost connection: the partition would be read from Postgres, which
  // hides many bugs.
  {
    file: 'redis/connect.js',
    find: 'socketTimeout: blocking ? MAX_BLOCK_MS + 1_000 : 2_000',
    replace: 'socketTimeout: 20_000',
  },
  { file: 'redis/reading.js', find: 'CLAIMED_AT_ONCE = 100', replace: 'CLAIMED_AT_ONCE = 10' },
  ...RETENTION_IN_A_HURRY,
]

/** Runs these scenarios one after the other on a copy of the build with these bugs, and returns the findings. */
export async function playWith(
  name: string,
  patches: readonly Patch[],
  scenarios: readonly Bug['scenario'][],
  drainMs: number,
): Promise<string[]> {
  const build = await copyOfBuild(name, [...IN_A_HURRY, ...patches])
  try {
    const found: string[] = []
    const slow = scenarios.filter((scenario) => typeof scenario === 'function')
    if (slow.length > 0) {
      const verdict = await play(slow, { ...build, cacheDir: places.cacheDir }, await createDatabase(), {
        settings: SETTINGS,
        drainMs,
      })
      found.push(...verdict.violations.map(({ kind, example }) => `${kind}: ${example}`))
    }
    for (const scenario of scenarios) {
      if (typeof scenario !== 'function') found.push(...(await playQuickly(scenario.quick, build, SETTINGS, drainMs)))
    }
    return found
  } finally {
    await build.remove()
  }
}
