/** One of our own programs (ingest, worker) as a child process. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Anything of the stack that runs. */
export interface Running {
  /** Resolves when it has ended, asked for or not, and says how: `signal SIGKILL`, `code 1`. */
  exited: Promise<string>
  /** Stops it in order, and resolves when it is gone. */
  stop(): Promise<void>
  /** Ends it at once. */
  kill(): void
  /** Whether its start was done with, for those that say so: from then on it is events that it ends of, not its settings. */
  hasWorked?(): boolean
}

/** A program stops itself within its own deadline (15 s); this is for one that hangs. */
const DEADLINE_MS = 30_000

/**
 * Starts a program. It leads a session of its own, so that a Ctrl-C on the terminal does not reach it: everything is
 * stopped by us, in the right order.
 */
export function startProgram(entry: string, env: NodeJS.ProcessEnv, onLine: (line: string) => void): Running {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('./leash.js'), entry], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  for (const input of [child.stdout!, child.stderr!]) createInterface({ input }).on('line', onLine)
  const exited = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(signal ? `signal ${signal}` : `code ${code}`))
  })
  let worked = false
  child.on('message', (message) => {
    worked ||= message === 'working'
  })
  return {
    exited,
    hasWorked: () => worked,
    async stop() {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS)
      await exited
      clearTimeout(timer)
    },
    kill: () => child.kill('SIGKILL'),
  }
}
