/** Tries one mutant: do the tests that cover its line detect it? */
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type TestFile, wasRun } from './baseline.js'
import { apply } from './mutate.js'
import type { Mutation } from './mutation.js'
import { runTestFile } from './run.js'

export interface Mutant extends Mutation {
  file: string
}

/** `uncovered`: no test runs the line. A test that no longer ends counts as detection. */
export type Verdict =
  | { status: 'killed' | 'timed out'; by: string; failure: string }
  | { status: 'survived'; tried: string[]; untried: number }
  | { status: 'uncovered' }

/** How many mutants of the same file each test file has killed so far, by its path. */
export type Noticed = ReadonlyMap<string, number>

/**
 * The test files that cover a mutant's line: first those named after the file, then by cost, reduced for tests that
 * have `noticed` others.
 */
export function testsFor(
  { file, start, at = start }: Mutant,
  tests: readonly TestFile[],
  noticed: Noticed = new Map(),
): TestFile[] {
  const own = basename(file).replace(/\.js$/, '.test.js')
  const cost = ({ path, seconds }: TestFile) => (basename(path) === own ? 0 : seconds / (1 + (noticed.get(path) ?? 0)))
  return tests
    .filter(({ ran }) => wasRun(ran[file] ?? [], at))
    .sort((a, b) => cost(a) - cost(b) || a.path.localeCompare(b.path))
}

/**
 * Runs the tests for a mutant until one fails. `budgetSeconds` limits the tests of one mutant by their usual duration;
 * a mutant undetected by then counts as survived, so that the score is never too high.
 */
export async function judge(
  mutant: Mutant,
  tests: readonly TestFile[],
  { sandbox, budgetSeconds, noticed }: { sandbox: string; budgetSeconds: number; noticed?: Noticed },
): Promise<Verdict> {
  const covering = testsFor(mutant, tests, noticed)
  if (covering.length === 0) return { status: 'uncovered' }
  const path = join(sandbox, mutant.file)
  const original = await readFile(path, 'utf8')
  const tried: string[] = []
  let spent = 0
  await writeFile(path, apply(original, mutant))
  try {
    for (const test of covering) {
      if (tried.length > 0 && spent + test.seconds > budgetSeconds) continue
      spent += test.seconds
      // A slow machine must not count as a hang; a mutant that waits for ever still exceeds this limit.
      const run = await runTestFile(sandbox, test.path, { limitSeconds: test.seconds * 3 + 5 })
      if (!run.passed) {
        return { status: run.timedOut ? 'timed out' : 'killed', by: test.path, failure: run.failure ?? '' }
      }
      tried.push(test.path)
    }
  } finally {
    await writeFile(path, original)
  }
  return { status: 'survived', tried, untried: covering.length - tried.length }
}
