/** Replaces `@jest/globals`: jest takes seconds to start, and the mutants need thousands of starts. */
export { expect } from 'expect'

type Step = () => unknown

interface Test {
  name: string
  run: Step
  timeout: number
}

interface Suite {
  name: string
  parts: (Suite | Test)[]
  beforeAll: Step[]
  afterAll: Step[]
  beforeEach: Step[]
  afterEach: Step[]
}

const DEFAULT_TIMEOUT_MS = 30_000

const newSuite = (name: string): Suite => ({
  name,
  parts: [],
  beforeAll: [],
  afterAll: [],
  beforeEach: [],
  afterEach: [],
})

const root = newSuite('')
let current = root

/** A test, to be run later. */
export function test(name: string, run: Step, timeout = DEFAULT_TIMEOUT_MS): void {
  current.parts.push({ name, run, timeout })
}

/** A group of tests, with its own setup and teardown. */
export function describe(name: string, define: Step): void {
  const outer = current
  current = newSuite(name)
  outer.parts.push(current)
  define()
  current = outer
}

/** One for each row; a row that is an array gives all arguments. */
const each =
  (add: (name: string, run: Step, timeout?: number) => void) =>
  (rows: readonly unknown[]) =>
  (name: string, run: (...row: unknown[]) => unknown, timeout?: number): void => {
    for (const row of rows) add(name, () => run(...(Array.isArray(row) ? row : [row])), timeout)
  }

test.each = each(test)
describe.each = each(describe)

export const beforeAll = (step: Step) => void current.beforeAll.push(step)
export const afterAll = (step: Step) => void current.afterAll.push(step)
export const beforeEach = (step: Step) => void current.beforeEach.push(step)
export const afterEach = (step: Step) => void current.afterEach.push(step)

/**
 * Runs the defined tests, up to the first failure, which it throws with the name of the test. Returns the number of
 * passed tests.
 */
export async function runDefined(): Promise<number> {
  if (root.parts.length === 0) throw new Error('no tests')
  return runSuite(root, [])
}

async function runSuite(suite: Suite, around: readonly Suite[]): Promise<number> {
  const suites = [...around, suite]
  let passed = 0
  for (const step of suite.beforeAll) await within(DEFAULT_TIMEOUT_MS, suite.name, step)
  for (const part of suite.parts) {
    if ('parts' in part) {
      passed += await runSuite(part, suites)
    } else {
      await within(part.timeout, part.name, () => runTest(part, suites))
      passed++
    }
  }
  for (const step of suite.afterAll) await within(DEFAULT_TIMEOUT_MS, suite.name, step)
  return passed
}

async function runTest(test: Test, suites: readonly Suite[]): Promise<void> {
  for (const step of suites.flatMap((suite) => suite.beforeEach)) await step()
  await test.run()
  for (const step of suites.toReversed().flatMap((suite) => suite.afterEach)) await step()
}

async function within(milliseconds: number, name: string, step: Step): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('took too long')), milliseconds)
  })
  try {
    await Promise.race([step(), late])
  } catch (error) {
    throw new Error(name, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
