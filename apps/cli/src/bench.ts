/** `eventflow bench`: runs the bench of this checkout. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { SetupError } from '@eventflow/local'
import { CHECKOUT, isCheckout } from './checkout.js'

/** Runs `npm run bench` with these options on our terminal. Resolves with its exit code. */
export async function bench(options: readonly string[]): Promise<number> {
  if (!isCheckout()) {
    throw new SetupError('The bench is only in a checkout of EventFlow: npm ci && npm run bench')
  }
  const child = spawn('npm', ['run', 'bench', '--', ...options], { cwd: CHECKOUT, stdio: 'inherit' })
  const [code] = await once(child, 'close')
  return code ?? 1
}
