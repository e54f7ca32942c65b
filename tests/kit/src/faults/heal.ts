/** Repairs everything that the faults left broken. */
import { untilReady } from '@eventflow/redis'
import type { Stack } from './stack.js'

/** Links pass, processes run, Redis has memory; resolves when every process is ready. */
export async function heal({ links, ingests, workers, directRedis }: Stack): Promise<void> {
  for (const link of links.values()) link.mode = { kind: 'pass' }
  await untilReady(directRedis, 30_000) // the last fault may have cut this connection
  await directRedis.config('SET', 'maxmemory', '0')
  for (const program of [...ingests, ...workers]) {
    program.signal('SIGCONT')
    await program.ready(60_000)
  }
}
