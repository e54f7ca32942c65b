/**
 * The test of the tests: bugs are planted in copies of the compiled pipeline, and each must be detected and named
 * correctly.
 */
import { expect, test } from '@jest/globals'
import { BUCKETS_IN_A_HURRY, checkFits } from './places.js'
import { IN_A_HURRY } from './planted/bug.js'
import { BUGS } from './planted/index.js'
import { testBugs } from './planted/tests.js'

testBugs(
  'planted',
  BUGS.filter(({ telling }) => telling),
)

test('every bug can be planted in the build, also those of the long runs', async () => {
  const patches = [...IN_A_HURRY, ...BUCKETS_IN_A_HURRY, ...BUGS.flatMap((bug) => bug.patches)]
  const misfits = (await Promise.allSettled(patches.map(checkFits))).flatMap((result) =>
    result.status === 'rejected' ? [(result.reason as Error).message] : [],
  )
  expect(misfits).toEqual([])
})
