/**
 * Runs one compiled test file in a separate process, and sends the result to its parent. The parent then kills it,
 * because a failed test leaves its resources open.
 */
import { Session } from 'node:inspector/promises'
import { pathToFileURL } from 'node:url'
import { runDefined } from './test-globals.js'

/** The result of a test file. */
export interface FileOutcome {
  passed: boolean
  tests: number
  failure?: string
  /** The coverage of each script below the requested folder, as V8 reports it. */
  coverage?: Record<string, Range[]>
}

/** A part of a script, and whether it was run. Smaller parts inside it may differ. */
export type Range = readonly [start: number, end: number, wasRun: boolean]

const [file, coveredFolder] = process.argv.slice(2) as [string, string | undefined]

async function run(): Promise<FileOutcome> {
  try {
    await import(pathToFileURL(file).href)
    return { passed: true, tests: await runDefined() }
  } catch (error) {
    const { message, cause } = error as Error
    return {
      passed: false,
      tests: 0,
      failure: `${message}: ${(cause as Error | undefined)?.message?.split('\n')[0] ?? ''}`,
    }
  }
}

async function runCovered(folder: string): Promise<FileOutcome> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const outcome = await run()
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const ours = result.filter(({ url }) => url.startsWith(`${pathToFileURL(folder).href}/`) && !/node_modules/.test(url))
  const coverage = ours.map(({ url, functions }) => [
    decodeURI(url).slice(pathToFileURL(folder).href.length + 1),
    functions
      .flatMap(({ ranges }) => ranges)
      .map(({ startOffset, endOffset, count }): Range => [startOffset, endOffset, count > 0]),
  ])
  return { ...outcome, coverage: Object.fromEntries(coverage) }
}

process.send!(await (coveredFolder ? runCovered(coveredFolder) : run()))
