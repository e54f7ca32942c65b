/** `eventflow bench`: runs the bench of this checkout. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { SetupError } from '@eventflow/local'

const ROOT = join(import.meta.dirname, '../../..')

/** Runs `npm run bench` with these options on our terminal. Resolves with its exit code. */
export async function bench(options: readonly string[]): Promise<number> {
  await access(join(ROOT, 'scripts/bench/bench.ts')).catch(() => {
    throw new SetupError('The bench is not here, only in a checkout of EventFlow: npm ci && npm run bench')
  })
  const child = spawn('npm', ['run', 'bench', '--', ...options], { cwd: ROOT, stdio: 'inherit' })
  const [code] = await once(child, 'close')
  return code ?? 1
}
