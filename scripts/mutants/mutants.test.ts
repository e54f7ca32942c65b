/** A small repository with an incomplete test: detected mutants are counted, the others reported. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { learnBaseline, type TestFile } from './baseline.js'
import { judge, type Mutant, testsFor, type Verdict } from './judge.js'
import { mutationsOf } from './mutate.js'
import { describeMutants, type Judged } from './report.js'
import { openResults } from './results.js'
import { createSandbox, type Sandbox } from './sandbox.js'

const FILE = 'packages/a/dist/a.js'
const OWN = 'packages/a/dist/a.test.js'
const OTHER = 'tests/dist/other.test.js'

const CODE = `export const isAdult = (age) => age >= 18
export const unused = () => [1]
export const firstOf = (list) => list[0] ?? 'none'
export function waitFor(list) {
  while (list.length > 0) list.pop()
}
`

/** It does not test the age of 18 itself. */
const TEST = `import { expect, test } from '@jest/globals'
import { firstOf, isAdult, waitFor } from './a.js'
test.each([[3, false], [40, true]])('%i', (age, adult) => expect(isAdult(age)).toBe(adult))
test('it ends', () => waitFor([1]))
test('the first', () => expect(firstOf([1])).toBe(1))
`

let repository: string
let sandbox: Sandbox
let tests: TestFile[]
const told: string[] = []

const learn = (cacheFile: string) =>
  learnBaseline({
    sandbox: sandbox.root,
    tests: [OWN, OTHER, 'tests/dist/broken.test.js'],
    targets: [FILE],
    asked: [FILE],
    cacheFile,
    tell: (line) => told.push(line),
  })

beforeAll(async () => {
  repository = await mkdtemp(join(tmpdir(), 'eventflow-test-'))
  const files = {
    'package.json': '{ "type": "module" }',
    [FILE]: CODE,
    [`${FILE}.map`]: '{ "version": 3, "sources": ["a.ts"], "names": [], "mappings": "AAAA" }',
    [OWN]: TEST,
    [OTHER]: "import { test } from '@jest/globals'\ntest('of something else', () => {})\n",
    'tests/dist/broken.test.js':
      "import { test } from '@jest/globals'\ntest('no', () => { throw new Error('it is broken') })\n",
    'apps/README.md': '',
    'docs/README.md': '',
    'node_modules/@eventflow/README.md': '',
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(repository, path)), { recursive: true })
    await writeFile(join(repository, path), text)
  }
  sandbox = await createSandbox(repository)
  tests = await learn(join(repository, 'cache/baseline.json'))
})

afterAll(async () => {
  await sandbox.remove()
  await rm(repository, { recursive: true })
})

const mutantWhere = (replacement: string): Mutant => ({
  file: FILE,
  ...mutationsOf(CODE).find((mutation) => mutation.replacement === replacement)!,
})

const verdictOn = (mutant: Mutant): Promise<Verdict> =>
  judge(mutant, tests, { sandbox: sandbox.root, budgetSeconds: 60 })

test('only passing tests are used, and only for the code that they run', () => {
  expect(tests.map(({ path, ran }) => [path, Object.keys(ran)])).toEqual([
    [OWN, [FILE]],
    [OTHER, []],
  ])
  expect(told.at(-1)).toMatch(/LEFT OUT tests\/dist\/broken.test.js .* no: it is broken/)
})

test('a measured baseline is reused', async () => {
  told.length = 0
  await learn(join(repository, 'cache/baseline.json'))
  expect(told).toEqual([expect.stringContaining('broken')])
})

test('a mutant is killed, survives, or is uncovered; afterwards the file is unchanged', async () => {
  expect(await verdictOn(mutantWhere('<'))).toMatchObject({ status: 'killed', by: OWN })
  expect(await verdictOn(mutantWhere('>'))).toEqual({ status: 'survived', tried: [OWN], untried: 0 })
  expect(await verdictOn(mutantWhere('[]'))).toEqual({ status: 'uncovered' })
  // The right operand is never run, the operator is.
  expect(await verdictOn(mutantWhere('&&'))).toMatchObject({ status: 'killed' })
  expect(await readFile(join(sandbox.root, FILE), 'utf8')).toBe(CODE)
})

test('a mutant that makes a test hang is detected', async () => {
  const start = CODE.indexOf('list.pop()')
  const mutant = { file: FILE, start, end: start + 'list.pop()'.length, replacement: ';', kind: 'statement removed' }
  expect(await verdictOn(mutant)).toMatchObject({ status: 'timed out', by: OWN })
})

test('the page counts the mutants, and lists each survivor with its opinion', async () => {
  const judged: Judged[] = []
  for (const replacement of ['<', '>', '[]']) {
    const mutant = mutantWhere(replacement)
    judged.push({ target: 'a', mutant, verdict: await verdictOn(mutant) })
  }
  const about = { at: new Date('2026-01-02T03:04:05Z'), commit: 'abc', machine: '2 cores', minutes: 3, all: 3 }
  const opinion = {
    file: 'packages/a/src/a.ts',
    line: 'export const isAdult = (age) => age >= 18',
    becomes: 'export const isAdult = (age) => age > 18',
    is: 'gap',
    because: 'the age of 18',
  } as const
  const page = describeMutants(judged, about, [opinion], repository)
  expect(page).toContain('| a | 3 | 1 | 0 | 1 | 1 | 33.3 % |')
  expect(page).toContain('| a/a.ts:1 | `export const isAdult = (age) => age >= 18` |')
  expect(page).toContain('| gap: the age of 18 |')
  expect(page).toContain(
    '| a/a.ts:1 (no test runs it) | `export const unused = () => [1]` | `export const unused = () => []` | not judged yet |',
  )
})

test('a verdict is kept while its basis is unchanged', async () => {
  const file = join(repository, 'cache/results.jsonl')
  const mutant = mutantWhere('>')
  const identity = { fileHash: 'h', mutant }
  const verdict: Verdict = { status: 'survived', tried: [OWN], untried: 0 }
  await (await openResults(file)).add(identity, tests, verdict)
  await writeFile(file, '{"cut o', { flag: 'a' })
  const results = await openResults(file)
  expect(results.find(identity, tests)).toEqual(verdict)
  expect(results.find({ fileHash: 'another', mutant }, tests)).toBeUndefined()
  expect(results.find(identity, [{ ...tests[0]!, hash: 'a test was added' }])).toBeUndefined()
})

test('a test that has killed many mutants runs before a cheaper one', () => {
  const running = (path: string, seconds: number): TestFile => ({
    path,
    hash: '',
    seconds,
    ran: { [FILE]: [[0, CODE.length, true]] },
  })
  const mutant = { file: FILE, ...mutationsOf(CODE)[0]! }
  const asked = testsFor(mutant, [running('cheap', 1), running('telling', 3)], new Map([['telling', 5]]))
  expect(asked.map(({ path }) => path)).toEqual(['telling', 'cheap'])
})
