/** The cost of idling. */
import { setTimeout as delay } from 'node:timers/promises'
import { differences } from '../measure.js'
import type { ByRole, Stack } from '../stack.js'
import { startPrograms } from '../variants/eventflow.js'

export interface Idle {
  seconds: number
  /** Processor time by role, in percent of one core. */
  corePercent: ByRole
}

/** One-time work after a start is excluded. */
const SETTLING_MS = 3_000

/** Starts an ingest and a worker, leaves them idle for this time, and returns the resources used. */
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
