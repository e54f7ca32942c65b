/** Ingest and workers as they run in production: as separate processes. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from './until.js'

export interface ProgramProcess {
  pid: number
  /** The URL of its health: `http://127.0.0.1:…`. */
  url: string
  /** Everything it has written so far, on stdout and stderr. */
  lines: readonly string[]
  /** Resolves when it has ended: `code 0`, `signal SIGKILL`. */
  exited: Promise<string>
  kill(signal: NodeJS.Signals): void
}

const PROGRAMS = {
  ingest: { file: '@eventflow/ingest/main', ready: '"Server listening at ' },
  worker: { file: '@eventflow/worker/main', ready: '"working"' },
  alerts: { file: '@eventflow/alerts/main', ready: '"watching"' },
}

/** Time limit of a start, also on a busy machine, in milliseconds. */
const START_MS = 60_000

/** Loaded into the process before its program: a killed test run leaves no processes behind. */
const LEASH = `data:text/javascript,${encodeURIComponent(
  `process.once('disconnect', () => process.kill(process.pid, 'SIGKILL')); process.channel.unref()`,
)}`

/**
 * Starts a program with these settings and nothing else of our environment; resolves when it works. It logs that at
 * `info`, so its level must not be higher.
 */
export async function startProgramProcess(
  program: keyof typeof PROGRAMS,
  settings: Record<string, string>,
): Promise<ProgramProcess> {
  const { file, ready } = PROGRAMS[program]
  const child = spawn(process.execPath, ['--import', LEASH, fileURLToPath(import.meta.resolve(file))], {
    env: { PATH: process.env.PATH, EVENTFLOW_PORT: '0', EVENTFLOW_METRICS_PORT: '0', ...settings },
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
  await until(`the ${program} works`, () => end !== undefined || lines.some((line) => line.includes(ready)), START_MS)
  if (end !== undefined) throw new Error(`the ${program} ended at its start (${end}):\n${lines.join('\n')}`)
  const port = /"metrics_port":(\d+)|Server listening at http:\/\/[^:]+:(\d+)/.exec(lines.join('\n'))?.slice(1).join('')
  return { pid: child.pid!, url: `http://127.0.0.1:${port}`, lines, exited, kill: (signal) => child.kill(signal) }
}
