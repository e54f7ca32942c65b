/** A server as a child process: its log in a file, its problems told, stopped by a signal and a deadline. */
import { spawn } from 'node:child_process'
import { createWriteStream, fchmod } from 'node:fs'
import { createInterface } from 'node:readline'
import { SetupError } from './setup-error.js'

/** A server of the local stack, ready for clients. */
export interface LocalServer {
  /** What a client connects to. */
  url: string
  port: number
  /** The folder with its data and its log. */
  dir: string
  /** The command line that opens a shell on it, for the user who has started it. It has no password in it. */
  shell: string
  /** Resolves when it has ended, asked for or not, and says how: `signal SIGKILL`, `code 1`. */
  exited: Promise<string>
  /** Stops it in order, and resolves when it is gone. */
  stop(): Promise<void>
  /** Ends it at once. Its next start recovers. */
  kill(): void
}

/** One that has passwords: `url` has that of the account of the pipeline's programs. */
export interface LocalDatabase extends LocalServer {
  /** What an administrator connects to. */
  adminUrl: string
}

/** How a server is launched. */
export interface Launch {
  name: string
  command: string
  args: string[]
  /** Working directory: one that its account may enter. */
  cwd: string
  /** The account that runs it, when that is not ours. */
  account?: { uid?: number; gid?: number }
  env?: NodeJS.ProcessEnv
  /** What it reads on stdin. */
  input?: string
  logFile: string
  /** The part of a log line that a person has to see, if any; asked once the server is up. */
  problem: (line: string) => string | undefined
  log: (line: string) => void
}

/** A launched server, not yet known to be ready. */
export interface ServerProcess {
  exited: Promise<string>
  /** Waits for `ready`, and fails with the end of the log when the server ends first. */
  until(ready: Promise<unknown>): Promise<void>
  /** Resolves when the log says `text`. */
  says(text: string): Promise<void>
  /** Sends `signal`, and `lastSignal` when it is still there after `deadline` milliseconds. */
  stop(signal: NodeJS.Signals, deadline: number, lastSignal: NodeJS.Signals): Promise<void>
  kill(signal: NodeJS.Signals): void
}

/**
 * Launches a server. It leads a session of its own, so that a Ctrl-C on the terminal reaches us and not it: it has to
 * outlive those who write to it.
 */
export function launch({
  name,
  command,
  args,
  input,
  logFile,
  problem,
  log,
  account,
  cwd,
  env,
}: Launch): ServerProcess {
  const stdio: ['pipe', 'pipe', 'pipe'] = ['pipe', 'pipe', 'pipe']
  const child = spawn(command, args, { ...account, cwd, ...(env && { env }), detached: true, stdio })
  child.stdin.on('error', () => {}) // it ended without reading: its log tells
  child.stdin.end(input ?? '')
  const file = createWriteStream(logFile, { flags: 'a', mode: 0o600 })
  file.on('open', (opened) => fchmod(opened, 0o600, () => {})) // one that was there keeps its mode
  file.on('error', (error) => log(`${name} continues without its log file: ${error.message}`))
  const lastLines: string[] = []
  const listeners = new Set<(line: string) => void>()
  let ready = false
  let stopping = false

  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on('line', (line) => {
      file.write(`${line}\n`)
      lastLines.push(line)
      if (lastLines.length > 10) lastLines.shift()
      for (const listener of listeners) listener(line)
      const seen = ready && !stopping ? problem(line) : undefined
      if (seen) log(seen)
    })
  }

  const exited = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => {
      file.end()
      resolve(signal ? `signal ${signal}` : `code ${code}`)
    })
  })

  return {
    exited,
    async until(readiness) {
      const end = exited.then((how) => {
        throw new SetupError(`${name} exited during its start (${how}). The end of its log:\n${lastLines.join('\n')}`)
      })
      end.catch(() => {}) // once it has started, its end is for `exited` to tell
      try {
        await Promise.race([readiness, end])
      } catch (error) {
        child.kill('SIGKILL')
        throw error
      }
      ready = true
    },
    says: (text) =>
      new Promise((resolve) => {
        listeners.add(function listener(line) {
          if (!line.includes(text)) return
          listeners.delete(listener)
          resolve()
        })
      }),
    async stop(signal, deadline, lastSignal) {
      stopping = true
      child.kill(signal)
      const timer = setTimeout(() => child.kill(lastSignal), deadline)
      await exited
      clearTimeout(timer)
    },
    kill(signal) {
      stopping = true
      child.kill(signal)
    },
  }
}

/** A text as one word of a command line. */
export function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
