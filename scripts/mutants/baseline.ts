/** What each test file covers of the mutated files, and how long it takes: measured once, on the unchanged files. */
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runTestFile } from './run.js'
import type { Range } from './run-file.js'

/** A test file that passes. */
export interface TestFile {
  path: string
  hash: string
  seconds: number
  /** By file: its covered ranges. */
  ran: Record<string, Range[]>
}

const LIMIT_SECONDS = 180

/** A short hash of a text or of what a file holds. */
export const hash = (content: string | Buffer) => createHash('sha256').update(content).digest('hex').slice(0, 16)

/** The hash of a file's content. */
export const hashOf = async (path: string) => hash(await readFile(path))

/**
 * Runs the test files. Results for the same test and the same targets come from the cache; a failing test is reported
 * and left out.
 */
export async function learnBaseline(options: {
  sandbox: string
  tests: readonly string[]
  /** The files to measure coverage of. */
  targets: readonly string[]
  /** The files of this run: cached results are valid only if these are unchanged. */
  asked: readonly string[]
  cacheFile: string
  tell: (line: string) => void
}): Promise<TestFile[]> {
  const { sandbox, tests, targets, asked, cacheFile, tell } = options
  const cache = JSON.parse(await readFile(cacheFile, 'utf8').catch(() => '{}')) as Record<string, Learned>
  const current = new Map<string, string>()
  for (const target of targets) current.set(target, await hashOf(join(sandbox, target)))
  const files: TestFile[] = []
  for (const path of tests) {
    const content = await hashOf(join(sandbox, path))
    const cached = cache[path]
    const holds = cached?.hash === content && asked.every((target) => cached.targets[target] === current.get(target))
    const learned = holds ? cached : await learn({ sandbox, path, targets, tell })
    if (!learned) continue
    files.push({ ...learned, hash: content })
    if (holds) continue
    cache[path] = { ...learned, hash: content, targets: Object.fromEntries(current) }
    await mkdir(dirname(cacheFile), { recursive: true })
    await writeFile(cacheFile, JSON.stringify(cache))
  }
  return files
}

/** The cached result of a test file, with the hashes of the targets at that time. */
interface Learned extends TestFile {
  targets: Record<string, string>
}

async function learn(of: {
  sandbox: string
  path: string
  targets: readonly string[]
  tell: (line: string) => void
}): Promise<Omit<TestFile, 'hash'> | undefined> {
  const { sandbox, path, targets, tell } = of
  const { passed, seconds, coverage, failure } = await runTestFile(sandbox, path, {
    limitSeconds: LIMIT_SECONDS,
    covered: true,
  })
  tell(`${passed ? 'learned' : 'LEFT OUT'} ${path} ${seconds.toFixed(1)} s ${failure ?? ''}`)
  const ran = Object.entries(coverage ?? {}).filter(([file]) => targets.includes(file))
  return passed ? { path, seconds, ran: Object.fromEntries(ran) } : undefined
}

/** Whether a place in a script was run: the smallest range around it decides. */
export function wasRun(ranges: readonly Range[], place: number): boolean {
  const around = ranges.filter(([start, end]) => start <= place && place < end)
  const smallest = around.sort((a, b) => a[1] - a[0] - (b[1] - b[0]))[0]
  return smallest?.[2] ?? false
}
