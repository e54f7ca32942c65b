/** A program that the bench runs: a process of its own, so that its processor time can be told from everybody else's. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import type { LoadOrder, LoadReport } from './load/orders.js'

export interface Program {
  pid: number
  /** Resolves when it is gone, and says how. */
  exited: Promise<string>
  /** Resolves when a program of the bench has said that it is ready; rejects when it ends before that. */
  ready: Promise<void>
  /** Rejects when it is gone, with the end of the log. */
  ended: Promise<never>
  /** Sends an order and gives the answer; `onProgress` is told the events so far. One order at a time. */
  order(order: LoadOrder, onProgress?: (events: number) => void): Promise<LoadReport>
  /** Sends something that nobody answers. */
  tell(message: object): void
  stop(): Promise<void>
}

/** Loaded into every program: it does not outlive us, however we end. */
const LEASH = `data:text/javascript,${encodeURIComponent(
  `process.once('disconnect', () => process.kill(process.pid, 'SIGKILL')); process.channel.unref()`,
)}`

/** Characters of the log that an error shows. */
const TAIL = 2_000

/** One that does not stop by itself is killed after this. */
const DEADLINE_MS = 10_000

export interface ProgramOptions {
  /** The program is given this as JSON, as its first argument. */
  plan?: object
  /** Its whole environment. */
  env?: Record<string, string>
  /** Options of Node itself. */
  nodeOptions?: string[]
  logFile: string
}

/** Starts a program. It leads a session of its own: a Ctrl-C on the terminal is for us, and we stop it. */
export function startProgram(
  file: string,
  { plan = {}, env = {}, nodeOptions = [], logFile }: ProgramOptions,
): Program {
  const log = openSync(logFile, 'a')
  const child = spawn(process.execPath, ['--import', LEASH, ...nodeOptions, file, JSON.stringify(plan)], {
    env,
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  })
  const exited = once(child, 'exit').then(([code, signal]) => `${file} ended (${signal ?? `code ${code}`})`)
  const ended = exited.then((how) => {
    throw new Error(`${how}. The end of the log of all programs:\n${readFileSync(logFile, 'utf8').slice(-TAIL)}`)
  })
  ended.catch(() => {}) // told by whoever waits for something of it

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
      // The programs say more to who started them than what is asked for here.
      if (typeof message !== 'object' || !(name in message)) return
      child.off('message', heard)
      resolve(message[name]!)
    })
  })
}
