/** What it costs when nothing happens. */
import { setTimeout as delay } from 'node:timers/promises'
import { differences } from '../measure.js'
import type { ByRole, Stack } from '../stack.js'
import { startPrograms } from '../variants/eventflow.js'

export interface Idle {
  seconds: number
  /** Processor time by what a process does, in percent of one core. */
  corePercent: ByRole
}

/** After a start there are things to be done once. */
const SETTLING_MS = 3_000

/** Starts an ingest and a worker, lets them be for so long, and says what they used. */
export async function measureIdle(stack: Stack, idleSeconds: number): Promise<Idle> {
  await stack.reset()
  try {
    await startPrograms(stack, {})
    await delay(SETTLING_MS)
    const before = stack.cpuSeconds()
    const startedAt = performance.now()
    await delay(idleSeconds * 1_000)
    const took = (performance.now() - startedAt) / 1_000
    const used = Object.entries(differences(stack.cpuSeconds(), before))
    const corePercent = Object.fromEntries(used.map(([role, seconds]) => [role, (seconds / took) * 100]))
    return { seconds: took, corePercent }
  } finally {
    await stack.stopPrograms()
  }
}
