/** Reports the results of `npm run test:long` in docs/test-long.md, as a jest reporter. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')

/** The used part of jest's results. */
export interface Run {
  startTime: number
  testResults: readonly {
    testFilePath: string
    perfStats: { start: number; end: number }
    failureMessage?: string | null
    testResults: readonly { fullName: string; status: string; duration?: number | null }[]
  }[]
}

/** The conditions of the run. */
export interface Circumstances {
  root: string
  commit: string
  machine: string
  endTime: number
}

const seconds = (milliseconds: number) => (milliseconds / 1_000).toFixed(1)
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

/** The document: date, machine, counts, and each test with its time. A file that could not be run counts as failed. */
export function describeRun({ startTime, testResults }: Run, about: Circumstances): string {
  const files = testResults
    .map(({ testFilePath, perfStats, failureMessage, testResults: tests }) => ({
      path: relative(about.root, testFilePath).replace('/dist/', '/').replace(/js$/, 'ts'),
      took: perfStats.end - perfStats.start,
      tests:
        tests.length === 0 && failureMessage
          ? [{ fullName: 'the file could not be run', status: 'failed', duration: null }]
          : tests,
    }))
    .sort((a, b) => a.path.localeCompare(b.path))
  const count = (status: string) => files.flatMap(({ tests }) => tests).filter((test) => test.status === status).length
  const chapters = files.map(({ path, took, tests }) =>
    [
      `## ${path}, ${seconds(took)} s\n`,
      '| test | result | seconds |\n|---|---|---|',
      ...tests.map(
        ({ fullName, status, duration }) =>
          `| ${cell(fullName)} | ${status} | ${duration == null ? '' : seconds(duration)} |`,
      ),
    ].join('\n'),
  )
  return `# The long tests

\`npm run test:long\` runs what takes too long for each change, and writes this page.

| | |
|---|---|
| Run on | ${new Date(startTime).toISOString().slice(0, 16).replace('T', ' ')} UTC |
| Commit | ${about.commit} |
| Machine | ${about.machine} |
| Result | **${count('passed')} passed, ${count('failed')} failed** |
| Duration | ${((about.endTime - startTime) / 60_000).toFixed(1)} minutes |

${chapters.join('\n\n')}
`
}

async function readCommit(): Promise<string> {
  const git = async (...args: string[]) => (await promisify(execFile)('git', args, { cwd: ROOT })).stdout.trim()
  try {
    const changed = await git('status', '--porcelain', '--untracked-files=no')
    return `${await git('rev-parse', '--short=12', 'HEAD')}${changed ? ' and changes' : ''}`
  } catch {
    return 'unknown'
  }
}

/** Writes the document, unless only a part of the tests was run, or jest was interrupted. */
export default class LongReport {
  constructor(
    private readonly config: {
      testNamePattern?: string
      testPathPatterns: { patterns: readonly string[] }
      shard?: unknown
    },
  ) {}

  async onRunComplete(_: unknown, run: Run & { wasInterrupted?: boolean }): Promise<void> {
    const { testNamePattern, testPathPatterns, shard } = this.config
    if (testNamePattern || testPathPatterns.patterns.length > 0 || shard || run.wasInterrupted) return
    const machine = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`
    const about = { root: ROOT, commit: await readCommit(), machine, endTime: Date.now() }
    await writeFile(join(ROOT, 'docs/test-long.md'), describeRun(run, about))
  }
}
