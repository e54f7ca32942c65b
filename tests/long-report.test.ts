/** The page written by the long tests has the number of passed tests, and names the others. */
import { expect, test } from '@jest/globals'
import { describeRun } from './long-report.js'

const at = Date.parse('2026-02-03T04:05:06Z')
const about = { root: '/repo', commit: 'abc', machine: '2 cores', endTime: at + 90_000 }
const perfStats = { start: at, end: at + 4_000 }

test('counts, durations, and the path of the source', () => {
  const tests = [
    { fullName: 'a | b', status: 'passed', duration: 1_500 },
    { fullName: 'c', status: 'failed', duration: 20 },
  ]
  const text = describeRun(
    {
      startTime: at,
      testResults: [{ testFilePath: '/repo/tests/dist/a.long.test.js', perfStats, testResults: tests }],
    },
    about,
  )
  expect(text).toContain('| Run on | 2026-02-03 04:05 UTC |')
  expect(text).toContain('| Result | **1 passed, 1 failed** |')
  expect(text).toContain('| Duration | 1.5 minutes |')
  expect(text).toContain('## tests/a.long.test.ts, 4.0 s')
  expect(text).toContain('| a \\| b | passed | 1.5 |\n| c | failed | 0.0 |')
})

test('a file that could not be run has failed', () => {
  const file = {
    testFilePath: '/repo/tests/dist/a.long.test.js',
    perfStats,
    failureMessage: 'no module',
    testResults: [],
  }
  expect(describeRun({ startTime: at, testResults: [file] }, about)).toContain('**0 passed, 1 failed**')
})
