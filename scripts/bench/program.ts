/** A program run by the bench, as a separate process, so that its processor time can be told apart. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import type { LoadOrder, LoadReport } from './load/orders.js'

export interface Program {
  pid: number
  /** Resolves when it is gone, with the cause. */
  exited: Promise<string>
  /** Resolves when a program of the bench has reported that it is ready; rejects if it ends before that. */
  ready: Promise<void>
  /** Rejects when it is gone, with the end of the log. */
  ended: Promise<never>
  /** Sends an order and returns the answer; calls `onProgress` with the events so far. One order at a time. */
  order(order: LoadOrder, onProgress?: (events: number) => void): Promise<LoadReport>
  /** Sends a message that has no answer. */
  tell(message: object): void
  stop(): Promise<void>
}

/** Loaded into every program, so that it ends with us, however we end. */
const LEASH = `data:text/javascript,${encodeURIComponent(
  `process.once('disconnect', () => process.kill(process.pid, 'SIGKILL')); process.channel.unref()`,
)}`

/** Characters of the log that an error shows. */
const TAIL = 2_000

/** A program that has not stopped by then is killed. */
const DEADLINE_MS = 10_000

export interface ProgramOptions {
  /** Passed to the program as JSON, in its first argument. */
  plan?: object
  /** Its whole environment. */
  env?: Record<string, string>
  /** Options of Node itself. */
  nodeOptions?: string[]
  logFile: string
}

/** Starts a program in a session of its own: a Ctrl-C on the terminal reaches only us, and we stop the program. */
export function startProgram(file: string, { plan, env = {}, nodeOptions = [], logFile }: ProgramOptions): Program {
  const log = openSync(logFile, 'a')
  const given = plan === undefined ? [] : [JSON.stringify(plan)]
  const child = spawn(process.execPath, ['--import', LEASH, ...nodeOptions, file, ...given], {
    env,
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  })
  const exited = once(child, 'exit').then(([code, signal]) => `${file} ended (${signal ?? `code ${code}`})`)
  const ended = exited.then((how) => {
    throw new Error(`${how}. The end of the log of all programs:\n${readFileSync(logFile, 'utf8').slice(-TAIL)}`)
  })
  ended.catch(() => {}) // reported by the caller that waits for the program

  const ready = Promise.race([messageOf<undefined>(child, 'ready'), ended])
  ready.catch(() => {})
  return {
    pid: child.pid!,
    exited,
    ready,
    ended,
    async order(order, onProgress = () => {}) {
      const heard = (message: { progress?: number }) => message.progress !== undefined && onProgress(message.progress)
      child.on('message', heard)
      child.send({ order })
      try {
        return await Promise.race([messageOf<LoadReport>(child, 'report'), ended])
      } finally {
        child.off('message', heard)
      }
    },
    tell: (message) => child.send(message),
    async stop() {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS)
      await exited
      clearTimeout(timer)
    },
  }
}

function messageOf<Value>(child: ChildProcess, name: string): Promise<Value> {
  return new Promise((resolve) => {
    child.on('message', function heard(message: Record<string, Value>) {
      // The programs also send messages that are not awaited here.
      if (typeof message !== 'object' || !(name in message)) return
      child.off('message', heard)
      resolve(message[name]!)
    })
  })
}
