/** A worker as it runs in production: a process of its own. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from './until.js'

export interface WorkerProcess {
  pid: number
  /** Resolves when it has ended: `code 0`, `signal SIGKILL`. */
  exited: Promise<string>
  kill(signal: NodeJS.Signals): void
}

const PROGRAM = fileURLToPath(import.meta.resolve('@eventflow/worker/main'))

/** Loaded into the process before its program: a test run that was killed leaves no workers behind. */
const LEASH = `data:text/javascript,${encodeURIComponent(
  `process.once('disconnect', () => process.kill(process.pid, 'SIGKILL')); process.channel.unref()`,
)}`

/** Starts the program with these settings and nothing else of our environment; resolves when it works. */
export async function startWorkerProcess(settings: Record<string, string>): Promise<WorkerProcess> {
  const child = spawn(process.execPath, ['--import', LEASH, PROGRAM], {
    env: { PATH: process.env.PATH, EVENTFLOW_METRICS_PORT: '0', EVENTFLOW_LOG_LEVEL: 'info', ...settings },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const lines: string[] = []
  for (const input of [child.stdout!, child.stderr!]) createInterface({ input }).on('line', (line) => lines.push(line))
  let end: string | undefined
  const exited = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(signal ? `signal ${signal}` : `code ${code}`))
  }).then((how) => {
    end = how
    return how
  })
  await until('the worker process works', () => end !== undefined || lines.some((line) => line.includes('"working"')))
  if (end !== undefined) throw new Error(`the worker process ended at its start (${end}):\n${lines.join('\n')}`)
  return { pid: child.pid!, exited, kill: (signal) => child.kill(signal) }
}
