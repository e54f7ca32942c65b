/** One of our own programs (ingest, worker) as a child process. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A running part of the stack. */
export interface Running {
  /** Resolves with the reason when it has ended, on request or not: `signal SIGKILL`, `code 1`. */
  exited: Promise<string>
  /** Stops it in order. Resolves when it is gone. */
  stop(): Promise<void>
  /** Kills it at once. */
  kill(): void
  /**
   * Whether it has started successfully, for parts that report that: if it ends later, an event is the likely cause,
   * not its settings.
   */
  hasWorked?(): boolean
}

/** A program stops within its own deadline (15 s); this one is for a program that hangs. */
const DEADLINE_MS = 30_000

/**
 * Starts a program in a separate session, so that a Ctrl-C on the terminal does not reach it: `up` stops everything in
 * the right order.
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
