/** Runs test files in separate processes, each with a time limit. */
import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { FileOutcome } from './run-file.js'

const PROGRAM = join(import.meta.dirname, 'run-file.js')

/** The result of a test file, and its duration; `timedOut` if it had to be killed. */
export interface TestRun extends FileOutcome {
  seconds: number
  timedOut: boolean
}

/** Runs a test file of the sandbox; `covered` requests its coverage of the sandbox's files. */
export function runTestFile(
  sandbox: string,
  file: string,
  { limitSeconds, covered = false }: { limitSeconds: number; covered?: boolean },
): Promise<TestRun> {
  const startedAt = performance.now()
  const args = [join(sandbox, file), ...(covered ? [sandbox] : [])]
  // A process group, so that everything it has started ends with it.
  const child = fork(PROGRAM, args, { cwd: sandbox, stdio: 'ignore', detached: true, execArgv: [] })
  return new Promise((resolve) => {
    const end = (outcome: FileOutcome, timedOut = false) => {
      clearTimeout(timer)
      killGroup(child.pid)
      resolve({ ...outcome, timedOut, seconds: (performance.now() - startedAt) / 1_000 })
    }
    const failed = (failure: string): FileOutcome => ({ passed: false, tests: 0, failure })
    const timer = setTimeout(() => end(failed('took too long'), true), limitSeconds * 1_000)
    child.once('message', (outcome) => end(outcome as FileOutcome))
    child.once('error', (error) => end(failed(error.message)))
    child.once('exit', () => end(failed('the process ended')))
  })
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}
