/** Tests of the tests: each planted bug is detected, and without a bug every scenario passes. */
import { expect, test } from '@jest/globals'
import { type Bug, playWith } from './bug.js'

/**
 * Declares one test for each of these bugs. `name` distinguishes the copies of the build from those of other test
 * files.
 */
export function testBugs(name: string, bugs: readonly Bug[]): void {
  test.each(bugs)(
    'found: $name',
    async (bug) => {
      const found = await playWith(`${name}-${bug.name.replaceAll(/\W+/g, '-')}`, bug.patches, [bug.scenario], 5_000)
      expect(found.map((finding) => finding.split(':')[0])).toContain(bug.found)
    },
    120_000,
  )
}

/** Declares a test that runs the scenarios of these bugs, each once, without a bug. */
export function testWithoutBugs(bugs: readonly Bug[]): void {
  test('without a planted bug every scenario ends well', async () => {
    const scenarios = new Map(
      bugs.map(({ scenario }) => [typeof scenario === 'function' ? scenario : scenario.quick, scenario]),
    )
    expect(await playWith('planted-none', [], [...scenarios.values()], 20_000)).toEqual([])
  }, 300_000)
}
