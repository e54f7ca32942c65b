/** The verdicts so far: kept beside the build, so that an interrupted run can continue. */
import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hash, type TestFile } from './baseline.js'
import { type Mutant, testsFor, type Verdict } from './judge.js'

/** Identifies a mutant across runs: the same file, with the same tests for it. */
interface Identity {
  fileHash: string
  mutant: Mutant
}

interface Line {
  key: string
  /** The tests that the verdict rests on, with their contents: the one that failed, or all that did not. */
  basis: string
  verdict: Verdict
}

const keyOf = ({ fileHash, mutant: { file, start, end, replacement } }: Identity) =>
  `${file} ${fileHash} ${start}-${end} ${replacement}`

const basisOf = (verdict: Verdict, mutant: Mutant, tests: readonly TestFile[]) => {
  const covering = testsFor(mutant, tests)
  const telling = 'by' in verdict ? covering.filter(({ path }) => path === verdict.by) : covering
  return hash(telling.map((test) => `${test.path} ${test.hash}`).join('\n'))
}

export interface Results {
  /** The earlier verdict, if its basis is unchanged. */
  find(identity: Identity, tests: readonly TestFile[]): Verdict | undefined
  add(identity: Identity, tests: readonly TestFile[], verdict: Verdict): Promise<void>
}

/** Reads the results from a file, one per line; skips a truncated line. */
export async function openResults(file: string): Promise<Results> {
  await mkdir(dirname(file), { recursive: true })
  const known = new Map<string, Line>()
  for (const text of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
    try {
      const line = JSON.parse(text) as Line
      known.set(line.key, line)
    } catch {
      // The last line of a run that was killed while it wrote.
    }
  }
  return {
    find(identity, tests) {
      const line = known.get(keyOf(identity))
      return line && line.basis === basisOf(line.verdict, identity.mutant, tests) ? line.verdict : undefined
    },
    async add(identity, tests, verdict) {
      const line = { key: keyOf(identity), basis: basisOf(verdict, identity.mutant, tests), verdict }
      await appendFile(file, `${JSON.stringify(line)}\n`)
    },
  }
}
