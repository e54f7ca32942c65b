/** What each test file runs of the files that are mutated, and how long it takes: learned once, from the files as they are. */
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
  /** By file: what was run of it. */
  ran: Record<string, Range[]>
}

const LIMIT_SECONDS = 180

/** The hash of a file's content. */
export async function hashOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
    .slice(0, 16)
}

/**
 * Runs the test files. What is in the cache for the same product and the same test is taken from there; a test that fails is
 * told of and left out.
 */
export async function learnBaseline(options: {
  sandbox: string
  tests: readonly string[]
  targets: readonly string[]
  cacheFile: string
  product: string
  tell: (line: string) => void
}): Promise<TestFile[]> {
  const { sandbox, tests, targets, cacheFile, product, tell } = options
  const cache = await readCache(cacheFile, product)
  const files: TestFile[] = []
  for (const path of tests) {
    const hash = await hashOf(join(sandbox, path))
    let known = cache[path]
    if (known?.hash !== hash) {
      const {
        passed,
        seconds,
        coverage = {},
        failure,
      } = await runTestFile(sandbox, path, {
        limitSeconds: LIMIT_SECONDS,
        covered: true,
      })
      tell(`${passed ? 'learned' : 'LEFT OUT'} ${path} ${seconds.toFixed(1)} s ${failure ?? ''}`)
      if (!passed) continue
      const ran = Object.fromEntries(Object.entries(coverage).filter(([file]) => targets.includes(file)))
      known = { path, hash, seconds, ran }
      cache[path] = known
      await mkdir(dirname(cacheFile), { recursive: true })
      await writeFile(cacheFile, JSON.stringify({ product, files: cache }))
    }
    files.push(known)
  }
  return files
}

async function readCache(cacheFile: string, product: string): Promise<Record<string, TestFile>> {
  const text = await readFile(cacheFile, 'utf8').catch(() => '{}')
  const cache = JSON.parse(text) as { product?: string; files?: Record<string, TestFile> }
  return cache.product === product ? (cache.files ?? {}) : {}
}

/** Whether a place in a script was run: the smallest range around it tells. */
export function wasRun(ranges: readonly Range[], place: number): boolean {
  const around = ranges.filter(([start, end]) => start <= place && place < end)
  const smallest = around.sort((a, b) => a[1] - a[0] - (b[1] - b[0]))[0]
  return smallest?.[2] ?? false
}
