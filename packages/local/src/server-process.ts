/** A server as a child process: logs to a file, reports problems, and stops by a signal with a deadline. */
import { spawn } from 'node:child_process'
import { createWriteStream, fchmod } from 'node:fs'
import { createInterface } from 'node:readline'
import { SetupError } from './setup-error.js'

/** A server of the local stack, ready for clients. */
export interface LocalServer {
  /** The URL for clients. */
  url: string
  port: number
  /** The folder with its data and its log. */
  dir: string
  /** The command line that opens a shell on it, for the user who has started it. It contains no password. */
  shell: string
  /** Resolves when it has ended, requested or not, with the cause: `signal SIGKILL`, `code 1`. */
  exited: Promise<string>
  /** Shuts it down cleanly, and resolves when it is gone. */
  stop(): Promise<void>
  /** Kills it at once. Its next start recovers. */
  kill(): void
}

/** A server with passwords: `url` has that of the account of the pipeline's programs. */
export interface LocalDatabase extends LocalServer {
  /** The URL for administrators. */
  adminUrl: string
}

/** How to launch a server. */
export interface Launch {
  name: string
  command: string
  args: string[]
  /** Working directory, which its account must be able to enter. */
  cwd: string
  /** The account that runs it, if it is not ours. */
  account?: { uid?: number; gid?: number }
  env?: NodeJS.ProcessEnv
  /** Its stdin. */
  input?: string
  logFile: string
  /** Returns the part of a log line that the user has to see, if any; called once the server is up. */
  problem: (line: string) => string | undefined
  log: (line: string) => void
}

/** A launched server, not yet known to be ready. */
export interface ServerProcess {
  exited: Promise<string>
  /** Waits for `ready`; throws with the end of the log if the server ends first. */
  until(ready: Promise<unknown>): Promise<void>
  /** Resolves when the log contains `text`. */
  says(text: string): Promise<void>
  /** Sends `signal`, and `lastSignal` if it still runs after `deadline` milliseconds. */
  stop(signal: NodeJS.Signals, deadline: number, lastSignal: NodeJS.Signals): Promise<void>
  kill(signal: NodeJS.Signals): void
}

/**
 * Launches a server in a session of its own, so that a Ctrl-C on the terminal reaches only us: the server has to
 * outlive its clients.
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
  child.stdin.on('error', () => {}) // it ended without reading: its log shows that
  child.stdin.end(input ?? '')
  const file = createWriteStream(logFile, { flags: 'a', mode: 0o600 })
  file.on('open', (opened) => fchmod(opened, 0o600, () => {})) // an existing file keeps its mode
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
      end.catch(() => {}) // once it has started, `exited` reports its end
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

/** Quotes a text as one word of a command line. */
export function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
