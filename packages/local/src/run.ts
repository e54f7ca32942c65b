/** Runs a command to its end. */
import { type SpawnOptions, spawn } from 'node:child_process'

/** The result of a command: `output` is its stdout and stderr in the order of arrival. */
export interface Ran {
  ok: boolean
  output: string
}

/** Runs a command, with `input` on its stdin. A missing or forbidden command counts as failed. */
export function run(command: string, args: string[], options: SpawnOptions & { input?: string } = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const { input, ...spawnOptions } = options
    const child = spawn(command, args, { ...spawnOptions, stdio: ['pipe', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream!.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    }
    child.stdin!.on('error', () => {}) // it ended without reading: its exit code shows that
    child.stdin!.end(input ?? '')
    child.on('error', (error) => resolve({ ok: false, output: error.message }))
    child.on('close', (code) => resolve({ ok: code === 0, output: output.trim() }))
  })
}
