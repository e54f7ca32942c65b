/** Examines schemas from outside in a thread of its own, which is ended when it takes too long. One at a time. */
import { Worker } from 'node:worker_threads'
import type { CompatibilityMode, Problem } from '@eventflow/core'
import type { Examination, Version } from './examination.js'
import { faultsIn } from './safe-schema.js'

/** From when the thread is up. What compiles here compiles in the same time where it is used. */
const TIMEOUT_MS = 2_000
const MAX_WAITING = 20
const MEMORY_MB = 128

/** Too many schemas wait to be examined. */
export class ExaminerBusyError extends Error {
  override name = 'ExaminerBusyError'
}

export type Examine = (schema: unknown, mode: CompatibilityMode, earlier: readonly Version[]) => Promise<Examination>

/** Gives the examiner; it rejects with ExaminerBusyError. */
export function createExaminer(timeoutMs = TIMEOUT_MS): Examine {
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0
  return async (schema, mode, earlier) => {
    const faults = faultsIn(schema)
    if (faults.length > 0) return { faults, incompatibilities: [] }
    if (waiting >= MAX_WAITING) throw new ExaminerBusyError('too many schemas are being examined')
    waiting++
    const turn = last.then(() => examineInThread({ schema, mode, earlier }, timeoutMs))
    last = turn.catch(() => {})
    return turn.finally(() => waiting--)
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
