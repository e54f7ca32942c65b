/** Examines schemas from outside in a thread of its own, which is ended when it takes too long. One at a time. */
import { Worker } from 'node:worker_threads'
import { type CompatibilityMode, createTurns, type Problem } from '@eventflow/core'
import type { Examination, Version } from './examination.js'
import { faultsIn } from './safe-schema.js'

/** From when the thread is up. What compiles here compiles in the same time where it is used. */
const TIMEOUT_MS = 2_000
/** A thread takes a core. */
const TURNS = { atOnce: 1, atOnceEach: 1, waitingEach: 10 }
const MEMORY_MB = 128

export type Examine = (
  tenantId: string,
  schema: unknown,
  mode: CompatibilityMode,
  earlier: readonly Version[],
) => Promise<Examination>

/** Gives the examiner. Tenants take turns; it rejects with TooManyWaitingError when too many schemas of one of them wait. */
export function createExaminer(timeoutMs = TIMEOUT_MS): Examine {
  const turns = createTurns(TURNS)
  return async (tenantId, schema, mode, earlier) => {
    const faults = faultsIn(schema)
    if (faults.length > 0) return { faults, incompatibilities: [] }
    return turns.run(tenantId, () => examineInThread({ schema, mode, earlier }, timeoutMs))
  }
}

function examineInThread(workerData: object, timeoutMs: number): Promise<Examination> {
  return new Promise((resolve) => {
    const thread = new Worker(new URL('./examiner-thread.js', import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    })
    const answer = (examination: Examination) => {
      clearTimeout(timer)
      void thread.terminate()
      resolve(examination)
    }
    const refuse = (message: string) => answer({ faults: [fault(message)], incompatibilities: [] })
    let timer: NodeJS.Timeout | undefined
    thread.on('message', (message: 'loaded' | Examination) => {
      if (message !== 'loaded') answer(message)
      else timer = setTimeout(() => refuse('takes too long to compile and compare'), timeoutMs)
    })
    thread.once('error', ({ message }) => refuse(`cannot be compiled: ${message}`))
  })
}

const fault = (message: string): Problem => ({ pointer: '', message })
