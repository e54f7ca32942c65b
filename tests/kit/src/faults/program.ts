/** One of the pipeline's programs as a child process, restarted whenever it ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../until.js'

export interface ProgramOptions {
  name: string
  /** The file that node runs. */
  script: string
  env: Record<string, string>
  /** Answers 200 when it is ready. */
  readyUrl: string
  logFile: string
}

export interface Program {
  readonly name: string
  readonly pid: number | undefined
  /** Its environment from the next start on. */
  readonly env: Record<string, string>
  /** How it ended, for each end that was not requested. */
  readonly surprises: string[]
  /** Starts it, and restarts it `restartMs` after each end. */
  start(): void
  /** Resolves when it is ready. */
  ready(timeoutMs?: number): Promise<void>
  /** Ends it with a signal; it stays down until it is started again. Returns how it ended. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<string>
  /** Ends it with a signal; it stays down for `downMs` and is then restarted. Resolves when it has been started. */
  restart(signal: 'SIGKILL' | 'SIGTERM', downMs: number): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** Stops it finally: cleanly, or with SIGKILL after ten seconds. Returns how it ended. */
  stop(): Promise<string>
}

/** How long a program that ended unexpectedly stays down, in milliseconds. */
const RESTART_MS = 300

export function createProgram({ name, script, env, readyUrl, logFile }: ProgramOptions): Program {
  const surprises: string[] = []
  let child: ChildProcess | undefined
  let exited = Promise.resolve('never started')
  let expected = false

  function start(): void {
    expected = false
    const log = openSync(logFile, 'a')
    const started = spawn(process.execPath, [script], { env: { PATH: '', ...env }, stdio: ['ignore', log, log] })
    child = started
    exited = new Promise((resolve) => {
      started.once('exit', (code, signal) => {
        const how = signal ?? `code ${code}`
        resolve(how)
        if (expected) return
        surprises.push(how)
        setTimeout(() => {
          if (child === started && !expected) start()
        }, RESTART_MS)
      })
    })
  }

  function end(signal: NodeJS.Signals): Promise<string> {
    expected = true
    child?.kill(signal)
    return exited
  }

  return {
    name,
    get pid() {
      return child?.pid
    },
    env,
    surprises,
    start,
    async ready(timeoutMs = 20_000) {
      await until(`${name} is ready`, async () => (await fetch(readyUrl)).ok, timeoutMs)
    },
    end,
    async restart(signal, downMs) {
      await end(signal)
      await delay(downMs)
      start()
    },
    signal(signal) {
      child?.kill(signal)
    },
    async stop() {
      child?.kill('SIGCONT')
      const timer = setTimeout(() => child?.kill('SIGKILL'), 10_000)
      const how = await end('SIGTERM')
      clearTimeout(timer)
      return how
    },
  }
}
