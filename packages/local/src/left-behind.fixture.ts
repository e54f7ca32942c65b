/** For the tests: a process that starts a server, and is then killed before it can stop it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** Runs `start` (a call of an export of this package) in another process, which is gone when this resolves. */
export async function startAndGetKilled(start: string): Promise<void> {
  const script = `import * as local from '${new URL('./index.js', import.meta.url)}'; await local.${start}; console.log('ready')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'ready') child.kill('SIGKILL')
  }
  await exited
}
