/** `eventflow bench`: the bench of the checkout that this command line is part of. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { SetupError } from '@eventflow/local'
import { CHECKOUT, isCheckout } from './checkout.js'

/** Runs `npm run bench` with these options on our terminal. Gives its exit code. */
export async function bench(options: readonly string[]): Promise<number> {
  if (!isCheckout()) {
    throw new SetupError('The bench is only in a checkout of EventFlow: npm ci && npm run bench')
  }
  const child = spawn('npm', ['run', 'bench', '--', ...options], { cwd: CHECKOUT, stdio: 'inherit' })
  const [code] = await once(child, 'close')
  return code ?? 1
}
