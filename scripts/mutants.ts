/** `npm run mutants`: makes small changes one at a time, which the tests must detect; writes docs/mutants.md. */
import { execFile } from 'node:child_process'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, setPriority } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { hash, hashOf, learnBaseline } from './mutants/baseline.js'
import { judge, type Mutant } from './mutants/judge.js'
import { mutationsOf } from './mutants/mutate.js'
import { describeMutants, type Judged, type Opinion, placeOf, scoreOf } from './mutants/report.js'
import { openResults } from './mutants/results.js'
import { createSandbox } from './mutants/sandbox.js'
import { TARGETS } from './mutants/targets.js'

const ROOT = join(import.meta.dirname, '../..')
const CACHE = join(ROOT, '.eventflow/cache/mutants')
const REPORT = join(ROOT, 'docs/mutants.md')
const OPINIONS = join(ROOT, 'scripts/mutants/opinions.json')

/** Each test creates a database that is never removed: after this many mutants the services start afresh. */
const MUTANTS_PER_SERVICES = 150

const tell = (line: string) => console.log(line)

const options = new Command('mutants')
  .option('--only <names...>', `some of ${Object.keys(TARGETS).join(', ')}`, Object.keys(TARGETS))
  .option('--sample <n>', 'one mutant in n', Number, 1)
  .option(
    '--minutes <n>',
    'end after so many minutes; the next run goes on from there',
    Number,
    Number.POSITIVE_INFINITY,
  )
  .option('--budget <seconds>', 'how long the tests of one mutant may take, by what they usually take', Number, 60)
  .option('--jobs <n>', 'how many mutants are tried at a time', Number, 1)
  .option('--fresh', 'begin anew, instead of where the last run was ended')
  .parse()
  .opts<{ only: string[]; sample: number; minutes: number; budget: number; jobs: number; fresh?: true }>()

/** The setup and teardown that jest would run around all tests. */
const jest = (await import(join(ROOT, 'jest.config.js'))).default
const step = async (path: string) => (await import(join(ROOT, path))).default as () => Promise<void>
const [startServices, stopServices] = [await step(jest.globalSetup), await step(jest.globalTeardown)]

async function compiledFiles(): Promise<string[]> {
  const inside = async (folder: string) =>
    (await readdir(join(ROOT, folder), { recursive: true })).map((name) => join(folder, name))
  const files = (await Promise.all(['packages', 'apps', 'tests'].map(inside))).flat()
  return files.filter((file) => file.endsWith('.js') && !file.includes('node_modules')).sort()
}

async function mutantsOf(files: readonly string[], only: readonly string[]) {
  const all: { target: string; fileHash: string; mutant: Mutant }[] = []
  for (const target of only) {
    for (const file of files.filter((file) => TARGETS[target]!.files.test(file) && !file.endsWith('.test.js'))) {
      const fileHash = await hashOf(join(ROOT, file))
      const mutations = mutationsOf(await readFile(join(ROOT, file), 'utf8'))
      all.push(...mutations.map((mutation) => ({ target, fileHash, mutant: { ...mutation, file } })))
    }
  }
  // A pseudo-random but fixed order, so that the mutants tried in a partial run are a fair sample of all.
  const placed = all.map((one) => ({
    one,
    place: hash(`${one.mutant.file} ${one.mutant.start} ${one.mutant.replacement}`),
  }))
  return placed.sort((a, b) => a.place.localeCompare(b.place)).map(({ one }) => one)
}

async function readCommit(): Promise<string> {
  const git = async (...args: string[]) => (await promisify(execFile)('git', args, { cwd: ROOT })).stdout.trim()
  const changed = await git('status', '--porcelain', '--untracked-files=no', '--', ':!docs', ':!scripts/mutants')
  return `${await git('rev-parse', '--short=12', 'HEAD')}${changed ? ' and changes' : ''}`
}

const unknown = options.only.filter((name) => !Object.hasOwn(TARGETS, name))
if (unknown.length > 0) throw new Error(`${unknown} is none of ${Object.keys(TARGETS)}`)
// Leaves priority to other programs on the machine.
setPriority(10)
if (options.fresh) await rm(CACHE, { recursive: true, force: true })

const startedAt = performance.now()
const minutesSoFar = () => (performance.now() - startedAt) / 60_000
const commit = await readCommit()
const files = await compiledFiles()
const allMutants = await mutantsOf(files, options.only)
const mutants = allMutants.filter((_, i) => i % options.sample === 0)
const mutated = [...new Set(mutants.map(({ mutant }) => mutant.file))]
const results = await openResults(join(CACHE, 'results.jsonl'))
const sandboxes = await Promise.all(Array.from({ length: options.jobs }, () => createSandbox(ROOT)))
const judged: Judged[] = []
/** By file, and then by test file: the number of mutants it has killed; a test about the part starts with a bonus. */
const noticed = new Map<string, Map<string, number>>()
const LEAD = 50

function countNoticed(file: string, test: string): void {
  const counts = noticed.get(file)!
  counts.set(test, (counts.get(test) ?? 0) + 1)
}

async function end(): Promise<void> {
  await stopServices()
  await Promise.all(sandboxes.map((sandbox) => sandbox.remove()))
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void end().finally(() => process.exit(130)))

try {
  await startServices()
  const tests = await learnBaseline({
    sandbox: sandboxes[0]!.root,
    tests: files.filter((file) => options.only.some((name) => TARGETS[name]!.tests.test(file))),
    targets: files.filter((file) => Object.values(TARGETS).some((part) => part.files.test(file))),
    asked: mutated,
    cacheFile: join(CACHE, 'baseline.json'),
    tell,
  })
  tell(`${mutants.length} mutants in ${mutated.length} files, ${tests.length} test files`)

  for (const { target, mutant } of mutants) {
    if (noticed.has(mutant.file)) continue
    const first = tests.filter(({ path }) => TARGETS[target]!.first?.test(path))
    noticed.set(mutant.file, new Map(first.map(({ path }) => [path, LEAD])))
  }
  const left = [...mutants]
  let tried = 0
  const work = async (sandbox: string) => {
    while (left.length > 0 && tried < MUTANTS_PER_SERVICES) {
      const { target, ...identity } = left.shift()!
      const { mutant } = identity
      const asked = tests.filter(({ path }) => TARGETS[target]!.tests.test(path))
      let verdict = results.find(identity, asked)
      if (!verdict && minutesSoFar() > options.minutes) continue
      if (!verdict) {
        tried++
        verdict = await judge(mutant, asked, {
          sandbox,
          budgetSeconds: options.budget,
          noticed: noticed.get(mutant.file)!,
        })
        await results.add(identity, asked, verdict)
        const { file, lineNumber, becomes } = placeOf(ROOT, mutant)
        const how = 'by' in verdict ? `${verdict.by}: ${verdict.failure}` : becomes
        tell(`${mutants.length - left.length} ${verdict.status} ${file}:${lineNumber} ${mutant.kind}: ${how}`)
      }
      judged.push({ target, mutant, verdict })
      if ('by' in verdict) countNoticed(mutant.file, verdict.by)
    }
  }
  while (left.length > 0) {
    tried = 0
    await Promise.all(sandboxes.map(({ root }) => work(root)))
    await stopServices()
    await startServices()
  }
} finally {
  await end()
}

tell(`score: ${(100 * scoreOf(judged)).toFixed(1)} % of ${judged.length}`)
if (options.only.length === Object.keys(TARGETS).length) {
  const about = {
    at: new Date(),
    commit,
    machine: `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`,
    minutes: minutesSoFar(),
    all: allMutants.length,
  }
  const opinions = JSON.parse(await readFile(OPINIONS, 'utf8')) as Opinion[]
  await writeFile(REPORT, describeMutants(judged, about, opinions, ROOT))
}
