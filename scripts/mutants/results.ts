/** What came of the mutants so far: kept beside the build, so that a run goes on where the last one was ended. */
import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hash, type TestFile } from './baseline.js'
import { type Mutant, testsFor, type Verdict } from './judge.js'

/** Which mutants are the same: those of the same file, with the same tests for them. */
interface Identity {
  fileHash: string
  mutant: Mutant
}

interface Line {
  key: string
  /** The tests that the verdict rests on, with their contents: the one that noticed, or all that did not. */
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
  /** The verdict, if it was reached before and what it rests on is the same still. */
  find(identity: Identity, tests: readonly TestFile[]): Verdict | undefined
  add(identity: Identity, tests: readonly TestFile[], verdict: Verdict): Promise<void>
}

/** Reads the results in a file, a line each; a line that was cut off is passed over. */
export async function openResults(file: string): Promise<Results> {
  await mkdir(dirname(file), { recursive: true })
  const known = new Map<string, Line>()
  for (const text of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
    try {
      const line = JSON.parse(text) as Line
      known.set(line.key, line)
    } catch {
      // The last line of a run that was ended while it wrote.
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
